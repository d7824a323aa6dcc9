//! The parameters whose values are more than one word: save points, addresses, limits per client
//! class.
//!
//! Each is a [`Special`]: how to show it, how to take its arguments, and the lines CONFIG REWRITE
//! writes. They check everything before they change anything, so a refused value leaves no trace.

use super::kind::{Line, Source, Special, one_of, position_of};
use super::notify::NotifyClasses;
use super::parameters::Config;
use super::text::{Text, format_memory, parse_lenient};
use crate::base::number::parse_f64;
use crate::base::text::{parse_memory, quote};

/// Save when `changes` writes happened within `seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// The time for which a change may wait for its companions.
    pub seconds: i64,
    /// The number of changes it takes.
    pub changes: i64,
}

/// The limits beyond which a client that does not read its replies is closed. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferLimit {
    /// At once, when more bytes than this wait.
    pub hard_bytes: u64,
    /// When more bytes than this wait …
    pub soft_bytes: u64,
    /// … for this long.
    pub soft_secs: i64,
}

/// Output-buffer limits by class of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferLimits {
    /// Ordinary clients.
    pub normal: BufferLimit,
    /// Replicas.
    pub replica: BufferLimit,
    /// Clients subscribed to channels.
    pub pubsub: BufferLimit,
}

/// The address of our primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryAddress {
    /// Its host name or address.
    pub host: Text,
    /// Its port.
    pub port: u16,
}

/// The effect of a stop signal, as the arguments of SHUTDOWN. All off is `default`: save where save
/// points are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ShutdownOn {
    /// Save even where no save points are set.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for lagging replicas.
    pub now: bool,
    /// Go even if saving fails.
    pub force: bool,
}

/// Redis's own save points.
pub(super) fn default_save() -> Vec<SavePoint> {
    [(3600, 1), (300, 100), (60, 10000)].map(|(seconds, changes)| SavePoint { seconds, changes }).to_vec()
}

/// Redis's own output-buffer limits.
pub(super) const DEFAULT_BUFFER_LIMITS: BufferLimits = BufferLimits {
    normal: BufferLimit { hard_bytes: 0, soft_bytes: 0, soft_secs: 0 },
    replica: BufferLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_secs: 60 },
    pubsub: BufferLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_secs: 60 },
};

/// As many addresses as `bind` takes.
pub const MAX_BIND_ADDRESSES: usize = 16;

/// One empty argument means none where a list may be empty.
fn without_empty<'a>(args: &'a [&'a [u8]]) -> &'a [&'a [u8]] {
    if *args == [b""] { &[] } else { args }
}

/// Values separated by single spaces, as CONFIG GET shows several.
fn spaced<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}

pub(super) static SAVE: Special = Special {
    get: |config| spaced(config.save.iter().map(|p| format!("{} {}", p.seconds, p.changes))).into_bytes(),
    set: set_save,
    rewrite: |name, config, _| match config.save.as_slice() {
        [] => vec![Line::new(name, b"\"\"", true)],
        points => points
            .iter()
            .map(|p| Line::new(name, format!("{} {}", p.seconds, p.changes).as_bytes(), true))
            .collect(),
    },
    shape: "seconds changes …",
};

fn set_save(config: &mut Config, args: &[&[u8]], source: Source) -> Result<(), String> {
    let point = |pair: &[&[u8]]| {
        let [seconds, changes] = pair else { return None };
        let (seconds, changes) = (parse_lenient(seconds)?, parse_lenient(changes)?);
        // Redis keeps the number of changes in 32 bits.
        (seconds >= 1 && changes >= 0).then_some(SavePoint { seconds, changes: i64::from(changes as i32) })
    };
    let points: Option<Vec<SavePoint>> = without_empty(args).chunks(2).map(point).collect();
    let points = points.ok_or("Invalid save parameters")?;
    match source {
        Source::NextLine if *args != [b""] => config.save.extend(points),
        _ => config.save = points,
    }
    Ok(())
}

pub(super) static DIR: Special = Special {
    get: |config| config.dir.as_bytes().to_vec(),
    set: |config, args, _| {
        let [path] = args else { return Err("wrong number of arguments".to_owned()) };
        config.dir = Text::from(*path);
        Ok(())
    },
    rewrite: |name, config, _| vec![Line::new(name, &quote(config.dir.as_bytes()), true)],
    shape: "path",
};

pub(super) static BIND: Special = Special {
    get: |config| spaced(&config.bind).into_bytes(),
    set: |config, args, _| {
        if args.len() > MAX_BIND_ADDRESSES {
            return Err("Too many bind addresses specified.".to_owned());
        }
        config.bind = without_empty(args).iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
        Ok(())
    },
    rewrite: |name, config, defaults| match config.bind.as_slice() {
        same if *same == defaults.bind => Vec::new(),
        [] => vec![Line::new(name, b"\"\"", true)],
        addresses => vec![Line::new(name, spaced(addresses).as_bytes(), true)],
    },
    shape: "address …",
};

pub(super) static REPLICAOF: Special = Special {
    get: |config| config.replicaof.as_ref().map_or_else(Vec::new, PrimaryAddress::as_args),
    set: set_replicaof,
    rewrite: |name, config, _| match &config.replicaof {
        Some(primary) => vec![Line::new(name, &primary.as_args(), true)],
        None => Vec::new(),
    },
    shape: "host port",
};

impl PrimaryAddress {
    /// `host port`, as the directive takes them.
    fn as_args(&self) -> Vec<u8> {
        [self.host.as_bytes(), b" ", self.port.to_string().as_bytes()].concat()
    }
}

fn set_replicaof(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let [host, port] = args else { return Err("wrong number of arguments".to_owned()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        config.replicaof = None;
        return Ok(());
    }
    let port = parse_lenient(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid master port")?;
    config.replicaof = Some(PrimaryAddress { host: Text::from(*host), port });
    Ok(())
}

pub(super) static CLIENT_OUTPUT_BUFFER_LIMIT: Special = Special {
    get: |config| {
        let classes = config.client_output_buffer_limit.classes();
        let show = |(name, l): &(&str, BufferLimit)| {
            format!("{name} {} {} {}", l.hard_bytes, l.soft_bytes, l.soft_secs)
        };
        spaced(classes.iter().map(show)).into_bytes()
    },
    set: set_buffer_limits,
    rewrite: |name, config, defaults| {
        let now = config.client_output_buffer_limit.classes();
        let before = defaults.client_output_buffer_limit.classes();
        now.iter().zip(before).map(|(now, before)| buffer_limit_line(name, now, before.1)).collect()
    },
    shape: "class hard soft seconds …",
};

impl BufferLimits {
    /// The limits under the names CONFIG GET shows.
    fn classes(&self) -> [(&'static str, BufferLimit); 3] {
        [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)]
    }
}

fn buffer_limit_line(name: &str, (class, limit): &(&str, BufferLimit), default: BufferLimit) -> Line {
    // Redis: CONFIG GET says "slave", the rewritten file "replica".
    let class = if *class == "slave" { "replica" } else { class };
    let [hard, soft] = [limit.hard_bytes, limit.soft_bytes].map(|bytes| format_memory(i128::from(bytes)));
    Line::new(name, format!("{class} {hard} {soft} {}", limit.soft_secs).as_bytes(), *limit != default)
}

fn set_buffer_limits(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    if !args.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    let mut limits = config.client_output_buffer_limit;
    for row in args.chunks(4) {
        let class = match row[0].to_ascii_lowercase().as_slice() {
            b"normal" => &mut limits.normal,
            b"slave" | b"replica" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => return Err("Invalid client class specified in buffer limit configuration.".to_owned()),
        };
        *class = parse_buffer_limit(row)
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    config.client_output_buffer_limit = limits;
    Ok(())
}

fn parse_buffer_limit(row: &[&[u8]]) -> Option<BufferLimit> {
    let (hard_bytes, soft_bytes) = (parse_memory(row[1])?, parse_memory(row[2])?);
    // Redis keeps the seconds in 32 bits and looks at their sign afterwards.
    let soft_secs = i64::from(parse_lenient(row[3])? as i32);
    (soft_secs >= 0).then_some(BufferLimit { hard_bytes, soft_bytes, soft_secs })
}

pub(super) static OOM_SCORE_ADJ_VALUES: Special = Special {
    get: |config| spaced(config.oom_score_adj_values).into_bytes(),
    set: |config, args, _| {
        let [primary, replica, saving] = args else { return Err("wrong number of arguments".to_owned()) };
        let score = |value: &[u8]| {
            let score = i32::try_from(parse_lenient(value)?).ok()?;
            (-2000..=2000).contains(&score).then_some(score)
        };
        let scores = (score(primary), score(replica), score(saving));
        let (Some(primary), Some(replica), Some(saving)) = scores else {
            return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".to_owned());
        };
        config.oom_score_adj_values = [primary, replica, saving];
        Ok(())
    },
    rewrite: |name, config, defaults| {
        let force = config.oom_score_adj_values != defaults.oom_score_adj_values;
        vec![Line::new(name, spaced(config.oom_score_adj_values).as_bytes(), force)]
    },
    shape: "primary replica saving",
};

pub(super) static NOTIFY_KEYSPACE_EVENTS: Special = Special {
    get: |config| config.notify_keyspace_events.to_string().into_bytes(),
    set: |config, args, _| {
        let classes = args.first().and_then(|letters| NotifyClasses::parse(letters));
        config.notify_keyspace_events =
            classes.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        Ok(())
    },
    rewrite: |name, config, _| {
        let classes = config.notify_keyspace_events;
        vec![Line::new(name, format!("\"{classes}\"").as_bytes(), !classes.is_empty())]
    },
    shape: "letters",
};

pub(super) static LATENCY_TRACKING_INFO_PERCENTILES: Special = Special {
    get: |config| spaced(config.latency_tracking_info_percentiles.iter().map(show_percentile)).into_bytes(),
    set: |config, args, _| {
        let percentiles: Result<Vec<f64>, &str> =
            without_empty(args).iter().copied().map(parse_percentile).collect();
        config.latency_tracking_info_percentiles = percentiles?;
        Ok(())
    },
    rewrite: |name, config, _| {
        // Redis writes this line whether or not it differs from the default.
        match config.latency_tracking_info_percentiles.as_slice() {
            [] => vec![Line::new(name, b"\"\"", true)],
            some => vec![Line::new(name, spaced(some.iter().map(show_percentile)).as_bytes(), true)],
        }
    },
    shape: "percentile …",
};

/// At most six decimals, none of them a trailing zero.
/// A percentile as INFO names it: `99.9`.
#[must_use]
pub fn show_percentile(value: &f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn parse_percentile(value: &[u8]) -> Result<f64, &'static str> {
    let number = parse_f64(value);
    match number {
        Some(number) if (0.0..=100.0).contains(&number) => Ok(number),
        Some(_) => Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"),
        None => Err("Invalid latency-tracking-info-percentiles parameters"),
    }
}

pub(super) static SHUTDOWN_ON_SIGINT: Special = Special {
    get: |config| config.shutdown_on_sigint.words().into_bytes(),
    set: |config, args, _| {
        config.shutdown_on_sigint = ShutdownOn::parse(args)?;
        Ok(())
    },
    rewrite: |name, config, defaults| {
        ShutdownOn::line(name, config.shutdown_on_sigint, defaults.shutdown_on_sigint)
    },
    shape: SHUTDOWN_SHAPE,
};

pub(super) static SHUTDOWN_ON_SIGTERM: Special = Special {
    get: |config| config.shutdown_on_sigterm.words().into_bytes(),
    set: |config, args, _| {
        config.shutdown_on_sigterm = ShutdownOn::parse(args)?;
        Ok(())
    },
    rewrite: |name, config, defaults| {
        ShutdownOn::line(name, config.shutdown_on_sigterm, defaults.shutdown_on_sigterm)
    },
    shape: SHUTDOWN_SHAPE,
};

const SHUTDOWN_SHAPE: &str = "default, save, nosave, now, force";
const SHUTDOWN_WORDS: &[&str] = &["default", "save", "nosave", "now", "force"];

impl ShutdownOn {
    fn words(self) -> String {
        let on = [self.save, self.nosave, self.now, self.force];
        let words: Vec<&str> =
            SHUTDOWN_WORDS[1..].iter().zip(on).filter(|(_, on)| *on).map(|(word, _)| *word).collect();
        if words.is_empty() { SHUTDOWN_WORDS[0].to_owned() } else { words.join(" ") }
    }

    fn parse(args: &[&[u8]]) -> Result<ShutdownOn, String> {
        let mut on = [false; 5];
        for arg in args {
            on[position_of(SHUTDOWN_WORDS, arg).ok_or_else(|| one_of(SHUTDOWN_WORDS))?] = true;
        }
        let [_, save, nosave, now, force] = on;
        if args.is_empty() {
            return Err(one_of(SHUTDOWN_WORDS));
        }
        if save && nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
        }
        Ok(ShutdownOn { save, nosave, now, force })
    }

    fn line(name: &str, now: ShutdownOn, default: ShutdownOn) -> Vec<Line> {
        vec![Line::new(name, now.words().as_bytes(), now != default)]
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::{LoadError, Origin, Surroundings, parse_file};
    use super::*;
    use crate::base::text::split_args;

    /// The values that a real server reads from lines with several words in one.
    const REAL_LINES: &str = include_str!("../../tests/data/config-lines-7.0.15.txt");

    /// A world that these lines never ask.
    struct Nowhere;

    impl Surroundings for Nowhere {
        fn read(&mut self, _: &[u8]) -> io::Result<Vec<u8>> {
            unreachable!()
        }

        fn read_stdin(&mut self) -> io::Result<Vec<u8>> {
            unreachable!()
        }

        fn glob(&mut self, _: &[u8]) -> Vec<Vec<u8>> {
            unreachable!()
        }

        fn change_dir(&mut self, _: &[u8], _: Origin) -> io::Result<Vec<u8>> {
            unreachable!()
        }

        fn try_log_file(&mut self, _: &[u8]) -> io::Result<()> {
            unreachable!()
        }

        fn knows_command(&self, _: &[u8]) -> bool {
            unreachable!()
        }
    }

    #[test]
    fn several_words_in_one_are_split_as_a_real_server_splits_them() {
        let mut rows = 0;
        for row in REAL_LINES.lines().filter(|row| !row.starts_with('#')) {
            let (line, expected) = row.split_once('\t').expect(row);
            let line = split_args(&line.as_bytes()[1..]).expect(row).remove(0);
            let before: &[u8] = if row.starts_with('+') { b"save 9 9\n" } else { b"" };
            let mut config = Config::default();
            let read = parse_file(&[before, &line].concat(), &mut config, &mut Nowhere);
            let name = row[2..].split([' ', '"']).next().expect(row);
            let got = match read {
                Ok(()) => format!("={}", String::from_utf8(config.get(name).expect(name)).expect(row)),
                Err(LoadError::Line { reason, .. }) => format!("!{reason}"),
                Err(error) => panic!("{row}: {error}"),
            };
            assert_eq!(got, expected, "{row}");
            rows += 1;
        }
        assert!(rows > 400, "only {rows} rows were read");
    }
}
