//! The `pyredis` program.

fn main() {
    println!("pyredis");
}
