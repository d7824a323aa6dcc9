//! The latency monitor: what took longer than `latency-monitor-threshold`, by event.
//!
//! Whoever does something that can delay everybody measures it and hands it over with the event's
//! name. Samples of one second are one sample, the worst, so 160 of them reach far back.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// Samples kept of an event.
const MAX_SAMPLES: usize = 160;
/// Columns and rows of a graph.
const COLUMNS: usize = 80;
const ROWS: usize = 4;

/// One second's worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Unix time, seconds.
    pub at_secs: i64,
    /// The time that it took, milliseconds.
    pub ms: i64,
}

/// The samples of one event.
#[derive(Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    worst_ms: i64,
}

impl Series {
    /// The samples, oldest first.
    #[must_use]
    pub fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }

    /// The worst ever, milliseconds.
    #[must_use]
    pub fn worst_ms(&self) -> i64 {
        self.worst_ms
    }

    fn add(&mut self, sample: Sample) {
        self.worst_ms = self.worst_ms.max(sample.ms);
        match self.samples.back_mut().filter(|last| last.at_secs == sample.at_secs) {
            Some(last) => last.ms = last.ms.max(sample.ms),
            None => {
                if self.samples.len() == MAX_SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }

    fn range_ms(&self) -> (i64, i64) {
        let all = self.samples.iter().map(|sample| sample.ms);
        (all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
    }
}

/// All events seen since the start or the last LATENCY RESET. Their names are the program's own, so
/// there are few.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    events: BTreeMap<&'static str, Series>,
}

impl LatencyMonitor {
    /// The events by name.
    #[must_use]
    pub fn events(&self) -> &BTreeMap<&'static str, Series> {
        &self.events
    }

    /// The samples of an event.
    #[must_use]
    pub fn event(&self, name: &[u8]) -> Option<&Series> {
        self.events.get(std::str::from_utf8(name).ok()?)
    }

    /// Forgets everything. Returns how many events that were.
    pub fn reset_all(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }

    /// Forgets an event. Returns whether there was such.
    pub fn reset(&mut self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.events.remove(name).is_some())
    }

    /// Notes how long an event took.
    pub fn add(&mut self, event: &'static str, sample: Sample) {
        self.events.entry(event).or_default().add(sample);
    }
}

/// Draws an event's samples, oldest left, with their age below. Source: LATENCY GRAPH.
#[must_use]
pub fn graph(event: &str, series: &Series, now_secs: i64) -> String {
    let (low, high) = series.range_ms();
    let mut out = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.worst_ms);
    out.extend(std::iter::repeat_n('-', COLUMNS));
    out.push('\n');
    let samples: Vec<Sample> = series.samples.iter().copied().collect();
    for (number, part) in samples.chunks(COLUMNS).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        draw(part, (low, high), now_secs, &mut out);
    }
    out
}

/// The marks of a column's top, lowest first; below the top a column is filled.
const TOPS: [char; 3] = ['_', 'o', '#'];

fn draw(samples: &[Sample], (low, high): (i64, i64), now_secs: i64, out: &mut String) {
    let steps = (TOPS.len() * ROWS) as i64;
    let heights: Vec<i64> = samples
        .iter()
        .map(|sample| ((sample.ms - low) * steps / (high - low).max(1)).min(steps - 1))
        .collect();
    for row in (0..ROWS).rev() {
        let floor = (row * TOPS.len()) as i64;
        out.extend(heights.iter().map(|height| match height - floor {
            ..0 => ' ',
            top => usize::try_from(top).ok().and_then(|top| TOPS.get(top)).copied().unwrap_or('|'),
        }));
        out.push('\n');
    }
    let ages: Vec<String> = samples.iter().map(|sample| age(now_secs - sample.at_secs)).collect();
    out.extend(std::iter::repeat_n(' ', samples.len()));
    out.push('\n');
    for place in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        out.extend(ages.iter().map(|age| age.as_bytes().get(place).map_or(' ', |&byte| char::from(byte))));
        out.push('\n');
    }
}

/// A time ago, in its largest unit.
fn age(secs: i64) -> String {
    match secs {
        ..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86_400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// Says in words what the events tell. Source: LATENCY DOCTOR.
#[must_use]
pub fn diagnosis(monitor: &LatencyMonitor, threshold_ms: i64, slowlog_us: i64) -> String {
    if monitor.events.is_empty() {
        return if threshold_ms > 0 {
            "Nothing took longer than the threshold since the start or the last LATENCY RESET.\n".to_owned()
        } else {
            "The latency monitor is off, so nothing is known. CONFIG SET latency-monitor-threshold \
             <milliseconds> turns it on.\n"
                .to_owned()
        };
    }
    let mut out = String::from("These events took longer than the threshold:\n\n");
    for (number, (event, series)) in monitor.events.iter().enumerate() {
        describe(number + 1, event, series, &mut out);
    }
    out.push_str("\nWhat to look at:\n\n");
    for advice in advice(monitor, threshold_ms, slowlog_us) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "- {advice}");
    }
    out
}

fn describe(number: usize, event: &str, series: &Series, out: &mut String) {
    let count = series.samples.len() as i64;
    let average = series.samples.iter().map(|sample| sample.ms).sum::<i64>() / count.max(1);
    let deviation =
        series.samples.iter().map(|sample| (sample.ms - average).abs()).sum::<i64>() / count.max(1);
    let times = series.samples.iter().map(|sample| sample.at_secs);
    let span = times.clone().max().unwrap_or(0) - times.min().unwrap_or(0);
    let period = if count > 1 { span as f64 / (count - 1) as f64 } else { 0.0 };
    let _ = writeln!(
        out,
        "{number}. {event}: {count} spikes, {average} ms on average (mean deviation {deviation} ms), one every \
         {period:.2} s; the worst took {} ms.",
        series.worst_ms
    );
}

fn advice(monitor: &LatencyMonitor, threshold_ms: i64, slowlog_us: i64) -> Vec<&'static str> {
    let seen = |prefix: &str| monitor.events.keys().any(|event| event.starts_with(prefix));
    let commands = seen("command") || seen("fast-command");
    let blind = slowlog_us < 0 || (threshold_ms > 0 && slowlog_us / 1000 > threshold_ms);
    let all = [
        (
            commands && blind,
            "slowlog-log-slower-than is above the monitor's threshold: lower it to see the commands.",
        ),
        (commands && !blind, "SLOWLOG GET shows the slow commands and who sent them."),
        (
            commands,
            "A command delays everybody as long as it runs: ask for parts (SCAN, LRANGE of a window) instead of \
             everything.",
        ),
        (
            seen("fast-command"),
            "Fast commands are seldom slow by themselves: look for large values, swapping, or a machine whose CPUs \
             others use.",
        ),
        (seen("expire"), "Very many keys are due at the same moment: spread their deadlines."),
        (seen("eviction"), "Memory is at its limit and keys are evicted: raise maxmemory or store less."),
        (
            seen("aof"),
            "The disk is slower than the writes: a faster disk, or appendfsync everysec instead of always.",
        ),
    ];
    all.into_iter().filter(|(applies, _)| *applies).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: &[(i64, i64)]) -> Series {
        let mut series = Series::default();
        samples.iter().for_each(|&(at_secs, ms)| series.add(Sample { at_secs, ms }));
        series
    }

    #[test]
    fn a_second_keeps_its_worst_and_the_oldest_go_first() {
        let mut series = series(&[(10, 5), (10, 9), (10, 7), (11, 3)]);
        assert_eq!(series.samples, [Sample { at_secs: 10, ms: 9 }, Sample { at_secs: 11, ms: 3 }]);
        (12..1000).for_each(|at_secs| series.add(Sample { at_secs, ms: 1 }));
        assert_eq!(series.samples.len(), MAX_SAMPLES);
        assert_eq!((series.samples[0].at_secs, series.worst_ms), (1000 - 160, 9));
    }

    #[test]
    fn a_graph_is_drawn_as_redis_draws_it() {
        let series = series(&[(94, 20), (95, 50), (96, 11), (98, 300), (99, 100)]);
        let expected = format!(
            "command - high 300 ms, low 11 ms (all time high 300 ms)\n{}\n   # \n   | \n   |_\n_o_||\n     \n\
             65421\nsssss\n",
            "-".repeat(80)
        );
        assert_eq!(graph("command", &series, 100), expected);
    }

    #[test]
    fn ages_are_told_in_their_largest_unit_and_long_series_in_two_graphs() {
        let rows = [(59, "59s"), (60, "1m"), (3600, "1h"), (200_000, "2d")];
        rows.iter().for_each(|&(secs, text)| assert_eq!(age(secs), text));
        let many: Vec<_> = (0..100).map(|second| (second, 5)).collect();
        let drawn = graph("x", &series(&many), 100);
        assert_eq!(drawn.lines().filter(|line| line.is_empty()).count(), 1);
        assert!(drawn.lines().nth(5).is_some_and(|line| line == "_".repeat(80)), "{drawn}");
    }

    #[test]
    fn the_doctor_speaks_of_what_was_seen() {
        let mut monitor = LatencyMonitor::default();
        assert!(diagnosis(&monitor, 0, 10_000).contains("monitor is off"));
        assert!(diagnosis(&monitor, 5, 10_000).contains("Nothing took longer"));
        monitor.add("command", Sample { at_secs: 1, ms: 10 });
        monitor.add("command", Sample { at_secs: 3, ms: 30 });
        let text = diagnosis(&monitor, 5, 10_000);
        for part in
            ["1. command: 2 spikes, 20 ms on average", "mean deviation 10", "2.00 s", "30 ms", "lower it"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(diagnosis(&monitor, 5, 100).contains("SLOWLOG GET"));
        assert!(!text.contains("evicted"));
    }
}
