//! LOLWUT: a drawing, and the version. Computers are not only for work.
//!
//! Redis draws one picture for each of its versions and none for 7.0: there the answer is the
//! version alone. The picture here is ours: waves, each a sum of three sines, in the dots of
//! Braille letters.

use crate::base::random::Random;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, REDIS_VERSION};
use crate::spec::*;
use std::f64::consts::TAU;

/// LOLWUT.
pub const COMMANDS: &[Command] = &[Command::new(
    Spec::new("lolwut", Group::Server, -1, "[VERSION version:integer]")
        .flags(&[READONLY, FAST])
        .since("5.0.0")
        .complexity("")
        .summary("Draws something and tells the version."),
    lolwut,
)];

/// Letters across and down, when nothing else is asked for, and at most.
const COLUMNS: i64 = 66;
const ROWS: i64 = 12;
const MAX_COLUMNS: i64 = 1000;
const MAX_ROWS: i64 = 200;
/// Dots of a letter.
const DOTS_ACROSS: usize = 2;
const DOTS_DOWN: usize = 4;

fn lolwut(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let version = if args.keyword_with_value("VERSION") { args.int()? } else { 0 };
    let mut text = String::new();
    if matches!(version, 5 | 6) {
        let columns = size(&mut args, COLUMNS, MAX_COLUMNS)?;
        let rows = size(&mut args, ROWS, MAX_ROWS)?;
        if version == 5 {
            // Redis: squares of a column; waves are not made of squares.
            size(&mut args, ROWS, MAX_ROWS)?;
        }
        text = waves(&mut ctx.rooms.random, columns, rows);
        text.push_str("\nWaves, drawn for you and nobody else. ");
    }
    text.push_str(&format!("Redis ver. {REDIS_VERSION}\n"));
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The next argument as a size, brought between 1 and `most`; without one, `default`.
fn size(args: &mut Args<'_>, default: i64, most: i64) -> Result<usize, CommandError> {
    let size = if args.is_done() { default } else { args.int()? };
    Ok(usize::try_from(size.clamp(1, most)).unwrap_or(1))
}

/// Draws waves on a canvas of so many letters.
fn waves(random: &mut Random, columns: usize, rows: usize) -> String {
    let (width, height) = (columns * DOTS_ACROSS, rows * DOTS_DOWN);
    let mut dots = vec![false; width * height];
    let count = (rows / 2).max(1);
    for wave in 0..count {
        let middle = (wave as f64 + 0.5) * height as f64 / count as f64;
        let sines: Vec<(f64, f64, f64)> = (1..=3)
            .map(|octave| {
                let phase = TAU * random.below(1000) as f64 / 1000.0;
                let length = width as f64 / (octave as f64 + random.below(3) as f64);
                (phase, length, DOTS_DOWN as f64 / f64::from(octave))
            })
            .collect();
        for x in 0..width {
            let rise =
                |&(phase, length, high): &(f64, f64, f64)| high * (phase + TAU * x as f64 / length).sin();
            let y = (middle + sines.iter().map(rise).sum::<f64>()).clamp(0.0, height as f64 - 1.0);
            dots[y as usize * width + x] = true;
        }
    }
    letters(&dots, columns, rows)
}

/// The letters whose dots are set.
fn letters(dots: &[bool], columns: usize, rows: usize) -> String {
    /// The bit of each dot in the number of its letter, by row and column.
    const BITS: [[u32; DOTS_ACROSS]; DOTS_DOWN] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
    const FIRST_LETTER: u32 = 0x2800;
    let width = columns * DOTS_ACROSS;
    let mut text = String::with_capacity(rows * (columns * 3 + 1));
    for row in 0..rows {
        for column in 0..columns {
            let mut letter = FIRST_LETTER;
            for (y, bits) in BITS.iter().enumerate() {
                for (x, bit) in bits.iter().enumerate() {
                    let dot = dots[(row * DOTS_DOWN + y) * width + column * DOTS_ACROSS + x];
                    letter |= if dot { *bit } else { 0 };
                }
            }
            text.push(char::from_u32(letter).unwrap_or(' '));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::letters;
    use crate::commands::testing::TestServer;

    #[test]
    fn without_a_version_it_is_the_version_alone() {
        let mut server = TestServer::new();
        for line in ["LOLWUT", "LOLWUT 5", "LOLWUT VERSION", "LOLWUT VERSION 7", "LOLWUT VERSION -1"] {
            assert_eq!(server.raw(line), "$18\r\nRedis ver. 7.0.15\n\r\n", "{line}");
        }
        let refused = "(error) ERR value is not an integer or out of range";
        for line in ["LOLWUT VERSION x", "LOLWUT VERSION 5 x"] {
            assert_eq!(server.run(line), refused, "{line}");
        }
    }

    #[test]
    fn drawings_are_as_large_as_asked_for_and_bounded() {
        let mut server = TestServer::new();
        for (line, columns, rows) in [
            ("LOLWUT VERSION 5", 66, 12),
            ("LOLWUT VERSION 6 10 3", 10, 3),
            ("LOLWUT VERSION 5 0 -1", 1, 1),
            ("LOLWUT VERSION 5 999999 999999", 1000, 200),
        ] {
            let text = server.raw(line);
            let drawing: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with(|letter| ('\u{2800}'..'\u{2900}').contains(&letter)))
                .collect();
            assert_eq!((drawing[0].chars().count(), drawing.len()), (columns, rows), "{line}");
            assert!(text.ends_with("Redis ver. 7.0.15\n\r\n"));
        }
    }

    #[test]
    fn every_size_is_a_number() {
        let mut server = TestServer::new();
        let refused = "(error) ERR value is not an integer or out of range";
        for line in ["LOLWUT VERSION 5 x", "LOLWUT VERSION 5 9 9 x", "LOLWUT VERSION 6 9 x"] {
            assert_eq!(server.run(line), refused, "{line}");
        }
        assert!(server.raw("LOLWUT VERSION 6 9 9 x").ends_with("Redis ver. 7.0.15\n\r\n"));
    }

    #[test]
    fn every_dot_has_its_place_in_a_letter() {
        let dot = |place: usize| letters(&(0..8).map(|dot| dot == place).collect::<Vec<_>>(), 1, 1);
        let drawn: String = (0..8).map(dot).collect();
        assert_eq!(drawn, "⠁\n⠈\n⠂\n⠐\n⠄\n⠠\n⡀\n⢀\n");
    }
}
