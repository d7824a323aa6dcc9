//! The rules of the house as a test: who may import whom, and what no file may hold.

mod accounts;
mod circles;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path from the package's folder, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The room it belongs to: the folder below `src`.
    fn room(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
    }

    /// Lines with their numbers, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The file without what is built for tests only: nothing of a file of tests, and no item that
    /// stands behind `#[cfg(test)]`.
    fn product(&self) -> Vec<&str> {
        let mut product = Vec::new();
        let is_tests = self.path.ends_with("tests.rs") || self.path.contains("/tests/");
        let mut lines = self.text.lines().filter(|_| !is_tests);
        while let Some(line) = lines.next() {
            if line.trim_start() != "#[cfg(test)]" {
                product.push(line);
                continue;
            }
            // The item ends where a line of its own column closes it.
            let column = indent(line);
            lines.find(|line| indent(line) == column && line.ends_with([';', '}']));
        }
        product
    }
}

/// How many columns a line is indented by.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let path = path.strip_prefix(root).expect("it is below the root").display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 3, "{folder} has sources");
    found
}

/// The rooms in the order of the floors, as `lib.rs` declares them.
fn rooms() -> Vec<String> {
    let map = sources("src").into_iter().find(|source| source.path == "src/lib.rs").expect("the map");
    let lines = map.text.lines().filter_map(|line| line.strip_prefix("pub mod "));
    lines.map(|line| line.trim_end_matches(';').to_string()).collect()
}

/// Everything in `lines` that breaks a rule, or nothing.
fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn a_room_imports_only_rooms_declared_above_it() {
    let rooms = rooms();
    assert!(rooms.len() >= 10, "{rooms:?}");
    let floor = |room: &str| rooms.iter().position(|known| known == room);
    let mut broken = Vec::new();
    for source in sources("src") {
        let Some(own) = source.room().and_then(floor) else { continue };
        for (number, line) in source.code() {
            for path in line.split("crate::").skip(1) {
                let other: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if floor(&other).is_some_and(|other| other > own) {
                    broken.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    report("these look up the stairs", &broken);
}

#[test]
fn command_families_do_not_import_each_other() {
    /// What belongs to all of them.
    const SHARED: &[&str] = &["help", "scan", "testing"];
    let mut broken = Vec::new();
    for source in sources("src/commands") {
        let family =
            source.path.trim_start_matches("src/commands/").split(['/', '.']).next().unwrap_or_default();
        for (number, line) in source.code() {
            let Some(path) = line.trim().strip_prefix("use crate::commands::") else { continue };
            let other: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_family = other.chars().next().is_some_and(char::is_lowercase)
                && Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands").join(&other).exists();
            if is_family && other != family && !SHARED.contains(&other.as_str()) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("what two families share is a type in keyspace/ or a helper in commands/mod.rs", &broken);
}

#[test]
fn commands_are_told_apart_by_what_their_rows_say() {
    /// Where names are looked up.
    const TABLES: &[&str] = &["src/spec/", "src/commands/", "src/server/command.rs"];
    const COMPARISONS: &[&str] = &[
        "==",
        "!=",
        "match ",
        "matches!(",
        "starts_with",
        "ends_with",
        "contains(",
        "eq_ignore_ascii_case(",
    ];
    let mut broken = Vec::new();
    for source in sources("src") {
        if TABLES.iter().any(|table| source.path.starts_with(table)) {
            continue;
        }
        for line in source.product() {
            let is_of_name = line.contains("spec.name") || line.contains("own_name()");
            let compares = is_of_name && COMPARISONS.iter().any(|word| line.contains(word));
            if compares || line.contains("commands.by_name(b\"") {
                broken.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    report("a flag in the command's row says what these ask its name for", &broken);
}

#[test]
fn floors_below_the_engine_touch_nothing() {
    const TOUCHING: &[&str] = &["std::net", "std::thread", "std::fs", "SystemTime", "Instant::now"];
    let rooms = rooms();
    let engine = rooms.iter().position(|room| room == "engine").expect("there is an engine");
    let mut broken = Vec::new();
    for source in sources("src") {
        let below = source.room().is_some_and(|room| rooms[..engine].iter().any(|known| known == room));
        if !below {
            continue;
        }
        // Tests at the end of a file may start a thread to see what another one sees.
        let product = source.code().take_while(|(_, line)| *line != "#[cfg(test)]");
        for (number, line) in product {
            if TOUCHING.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("sockets, threads, files and clocks live on the floors above", &broken);
}

#[test]
fn every_file_says_what_it_is_for() {
    let files = sources("src").into_iter().chain(sources("tests"));
    let broken: Vec<_> =
        files.filter(|source| !source.text.starts_with("//!")).map(|source| source.path).collect();
    report("these begin without a //! line", &broken);
}

#[test]
fn comments_end_at_column_100() {
    let mut broken = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        for (index, line) in source.text.lines().enumerate() {
            if line.trim_start().starts_with("//") && line.chars().count() > 100 {
                broken.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    report("longer comments", &broken);
}

/// The words of `text` that name a file of this repository: a path below one of its folders, or a
/// document.
fn cited_files(text: &str) -> impl Iterator<Item = &str> {
    const FOLDERS: &[&str] = &["src/", "tests/", "scripts/", "docs/"];
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.split(move |c| !is_path(c)).map(|word| word.trim_end_matches('.')).filter(|word| {
        let is_below = FOLDERS.iter().any(|folder| word.starts_with(folder) && word.len() > folder.len());
        let is_document = word.ends_with(".md") && word.chars().next().is_some_and(char::is_alphabetic);
        (is_below && word.rsplit('/').next().is_some_and(|name| name.contains('.'))) || is_document
    })
}

#[test]
fn files_that_are_cited_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<(String, String)> = sources("src")
        .into_iter()
        .map(|source| {
            let comments = source.text.lines().filter(|line| line.trim_start().starts_with("//"));
            (source.path.clone(), comments.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    for folder in [root.to_path_buf(), root.join("docs")] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "md") {
                let path = entry.path().strip_prefix(root).expect("it is below").display().to_string();
                texts.push((path, fs::read_to_string(entry.path()).expect("documents are text")));
            }
        }
    }
    let mut broken = Vec::new();
    let mut cited = 0;
    for (path, text) in &texts {
        let beside = Path::new(path).parent().map(|folder| root.join(folder)).unwrap_or_default();
        for file in cited_files(text) {
            cited += 1;
            if !root.join(file).exists() && !beside.join(file).exists() {
                broken.push(format!("{path}: {file}"));
            }
        }
    }
    assert!(cited > 10, "the documents cite files");
    report("these are cited and do not exist", &broken);
}

#[test]
fn unsafe_code_stays_where_it_is_explained() {
    const ALLOWED: &[&str] = &[
        "src/base/alloc.rs",
        "src/daemon/sys.rs",
        "src/engine/os.rs",
        "src/script/lent.rs",
        "src/script/locals.rs",
    ];
    let mut broken = Vec::new();
    for source in sources("src") {
        let uses = |line: &str| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        };
        let has_unsafe = source.code().any(|(_, line)| uses(line));
        if has_unsafe && !ALLOWED.contains(&source.path.as_str()) {
            broken.push(source.path.clone());
        }
        if has_unsafe && !source.text.contains("// SAFETY:") {
            broken.push(format!("{} has no SAFETY comment", source.path));
        }
    }
    report("unsafe code", &broken);
}

#[test]
fn the_lock_of_the_pid_file_is_the_only_use_of_fs2() {
    let uses = |source: &Source| source.code().any(|(_, line)| line.contains("fs2::"));
    let users: Vec<_> = sources("src").into_iter().filter(uses).map(|source| source.path).collect();
    assert_eq!(users, ["src/daemon/pid_file.rs"]);
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "#[ignore", "should_panic", "dbg!"].map(|word| word.to_string());
    let mut broken = Vec::new();
    for source in sources("src")
        .into_iter()
        .chain(sources("tests"))
        .filter(|source| !source.path.starts_with("tests/tidy/"))
    {
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("unfinished", &broken);
}
