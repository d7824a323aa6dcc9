//! A histogram of durations with two significant digits: what HdrHistogram(1, 10^9, 2) counts.
//!
//! A value is kept with its eight highest bits, so a bucket is never wider than 1/128 of its
//! values. Buckets are numbered in the order of their values; 128 of them, which cover one
//! doubling, are one block, and a block is allocated when its first value comes. Commands take
//! similar times, so a few blocks of 1 KiB do where the whole table would be 24.

/// The largest value told apart; larger ones count as this.
pub const MAX: u64 = 1_000_000_000;
/// Buckets of a block.
const BLOCK: usize = 128;
/// Bits of a value that are kept.
const KEPT_BITS: u32 = 8;

/// Counts of values from 1 to [`MAX`].
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    blocks: Vec<Option<Box<[u64; BLOCK]>>>,
    total: u64,
}

impl Histogram {
    /// The number of values that were recorded.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// True when nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Records `value`, `count` times.
    pub fn record(&mut self, value: u64, count: u64) {
        let index = index_of(value.clamp(1, MAX));
        let (block, place) = (index / BLOCK, index % BLOCK);
        if self.blocks.len() <= block {
            self.blocks.resize(block + 1, None);
        }
        let counts = self.blocks[block].get_or_insert_with(|| Box::new([0; BLOCK]));
        counts[place] += count;
        self.total += count;
    }

    /// The value that `percentile` percent of the recorded ones do not exceed, as far as it is
    /// known: the end of its bucket; of percentile 0 the beginning.
    #[must_use]
    pub fn value_at_percentile(&self, percentile: f64) -> u64 {
        let wanted = ((percentile.min(100.0) / 100.0 * self.total as f64) + 0.5) as u64;
        let wanted = wanted.max(1);
        let mut seen = 0;
        let found = self.counts().find(|&(_, count)| {
            seen += count;
            seen >= wanted
        });
        let Some((index, _)) = found else { return 0 };
        if percentile == 0.0 { lowest(index) } else { highest(index) }
    }

    /// The number of values that were recorded up to each doubling of `first`: the ends of the
    /// buckets in which the doublings lie, and the counts up to there, where they grow.
    #[must_use]
    pub fn cumulative(&self, first: u64) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let mut counts = self.counts().peekable();
        let (mut seen, mut level) = (0, first);
        while seen < self.total {
            let end = index_of(level.min(LAST));
            let before = seen;
            while let Some((_, count)) = counts.next_if(|&(index, _)| index <= end) {
                seen += count;
            }
            if seen > before {
                steps.push((highest(end), seen));
            }
            level = level.saturating_mul(2);
        }
        steps
    }

    /// The buckets with values, in order, and how many.
    fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let blocks =
            self.blocks.iter().enumerate().filter_map(|(number, block)| Some((number, block.as_ref()?)));
        blocks.flat_map(|(number, block)| {
            let counts = block.iter().enumerate().filter(|&(_, &count)| count > 0);
            counts.map(move |(place, &count)| (number * BLOCK + place, count))
        })
    }
}

/// The largest value with a bucket: [`MAX`] rounded up to a whole doubling.
const LAST: u64 = MAX.next_power_of_two() - 1;

/// The bucket of a value: below 256 each has its own, then 128 share each doubling.
fn index_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(KEPT_BITS);
    shift as usize * BLOCK + (value >> shift) as usize
}

/// The number of low bits the values of a bucket do not share.
fn shift_of(index: usize) -> usize {
    (index / BLOCK).saturating_sub(1)
}

fn lowest(index: usize) -> u64 {
    let shift = shift_of(index);
    ((index - shift * BLOCK) as u64) << shift
}

fn highest(index: usize) -> u64 {
    lowest(index) + (1 << shift_of(index)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&value| histogram.record(value, 1));
        histogram
    }

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_meet() {
        let mut end = 0;
        for index in 1..index_of(LAST) {
            assert_eq!(lowest(index), end + 1, "bucket {index}");
            end = highest(index);
            assert_eq!((index_of(lowest(index)), index_of(end)), (index, index));
        }
        assert_eq!(highest(index_of(LAST)), LAST);
    }

    #[test]
    fn percentiles_are_those_of_redis() {
        // 11.1 ms, 604 ms and more than a second, as INFO latencystats of a real server showed
        // them.
        let histogram = of(&[11_080_000, 601_000_000, 1_100_000_000]);
        let rows = [
            (0.0, 11_075_584),
            (33.333, 11_141_119),
            (50.0, 603_979_775),
            (99.99, 1_002_438_655),
            (100.0, 1_002_438_655),
        ];
        rows.iter().for_each(|&(percentile, value)| {
            assert_eq!(histogram.value_at_percentile(percentile), value, "{percentile}");
        });
        assert_eq!(Histogram::default().value_at_percentile(50.0), 0);
    }

    #[test]
    fn cumulative_steps_double_and_tell_only_of_growth() {
        let histogram = of(&[11_080_000, 601_000_000, 1_100_000_000]);
        let micros: Vec<_> = histogram.cumulative(1024).iter().map(|&(ns, n)| (ns / 1000, n)).collect();
        assert_eq!(micros, [(16_908, 1), (1_073_741, 3)]);
        assert_eq!(of(&[1, 1024, 1032]).cumulative(1024), [(1031, 2), (2063, 3)]);
        assert!(Histogram::default().cumulative(1024).is_empty());
    }

    #[test]
    fn only_blocks_in_use_are_allocated() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX, 5);
        histogram.record(0, 2);
        assert_eq!(histogram.total(), 7);
        assert_eq!(histogram.blocks.iter().flatten().count(), 2);
    }
}
