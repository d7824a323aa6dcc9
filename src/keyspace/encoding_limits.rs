//! The sizes up to which collections stay in their compact encoding.

use crate::base::hash::HashSeed;

/// Thresholds between a collection's compact and its large form, from the parameters of the
/// same names, and the seed of new tables.
#[derive(Clone, Copy, Debug)]
pub struct EncodingLimits {
    /// `list-max-listpack-size`: elements, or -1..-5 for 4..64 KiB.
    pub list_max_listpack_size: i64,
    /// Elements of lists of so many bytes stand alone: DEBUG QUICKLIST-PACKED-THRESHOLD.
    pub list_plain_from: u64,
    /// `hash-max-listpack-entries`.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`, bytes.
    pub hash_max_listpack_value: usize,
    /// `set-max-intset-entries`.
    pub set_max_intset_entries: usize,
    /// `zset-max-listpack-entries`.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`, bytes.
    pub zset_max_listpack_value: usize,
    /// `stream-node-max-bytes`; 0 for no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`; 0 for no limit.
    pub stream_node_max_entries: usize,
    /// The hash seed of new tables.
    pub seed: HashSeed,
}

impl Default for EncodingLimits {
    fn default() -> Self {
        EncodingLimits {
            list_max_listpack_size: -2,
            list_plain_from: u64::MAX,
            hash_max_listpack_entries: 128,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            seed: HashSeed([0; 16]),
        }
    }
}
