//! The commands of Redis 7.0.15 that are not built yet, as far as ACL rules and `rename-command`
//! must know them: their names and their ACL categories.
//!
//! A hardened configuration forbids or renames what its author does not want, whether it is there
//! or not: so such a name is understood, kept as a rule and written back. Nothing else knows it:
//! who calls it is told of an unknown command. A command that is built has no row here, and the
//! rules that name it hold for it; a test makes sure that no name is in both tables, and that both
//! are all of Redis.

use crate::spec::Category::{Admin, Connection, Dangerous, Fast, Slow};
use crate::spec::Coming;

/// Containers stand before their subcommands.
pub(super) const COMING: &[Coming] = &[
    Coming::new("asking", &[Fast, Connection]),
    Coming::new("cluster", &[Slow]),
    Coming::new("cluster|addslots", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|addslotsrange", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|bumpepoch", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|count-failure-reports", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|countkeysinslot", &[Slow]),
    Coming::new("cluster|delslots", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|delslotsrange", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|failover", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|flushslots", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|forget", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|getkeysinslot", &[Slow]),
    Coming::new("cluster|help", &[Slow]),
    Coming::new("cluster|info", &[Slow]),
    Coming::new("cluster|keyslot", &[Slow]),
    Coming::new("cluster|links", &[Slow]),
    Coming::new("cluster|meet", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|myid", &[Slow]),
    Coming::new("cluster|nodes", &[Slow]),
    Coming::new("cluster|replicas", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|replicate", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|reset", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|saveconfig", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|set-config-epoch", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|setslot", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|shards", &[Slow]),
    Coming::new("cluster|slaves", &[Admin, Slow, Dangerous]),
    Coming::new("cluster|slots", &[Slow]),
    Coming::new("failover", &[Admin, Slow, Dangerous]),
    Coming::new("psync", &[Admin, Slow, Dangerous]),
    Coming::new("readonly", &[Fast, Connection]),
    Coming::new("readwrite", &[Fast, Connection]),
    Coming::new("replconf", &[Admin, Slow, Dangerous]),
    Coming::new("replicaof", &[Admin, Slow, Dangerous]),
    Coming::new("role", &[Admin, Fast, Dangerous]),
    Coming::new("slaveof", &[Admin, Slow, Dangerous]),
    Coming::new("sync", &[Admin, Slow, Dangerous]),
];
