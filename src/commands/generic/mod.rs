//! The group *generic*: what can be done with a key whatever it holds.
//!
//! The table is here; the handlers are in [`keys`] (removing, naming, copying), [`expire`] (times
//! to live), [`scan`], [`sort`], [`object`], [`dump`], [`migrate`] and [`wait`].

mod dump;
mod expire;
mod keys;
mod migrate;
mod object;
mod scan;
mod sort;
mod wait;

use crate::server::Command;
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("copy", Group::Generic, -3, "source destination [DB destination-db] [REPLACE]")
            .flags(&[WRITE, DENYOOM])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO, ACCESS]), KeySpec::one(2, &[OW, UPDATE])])
            .since("6.2.0")
            .complexity("O(N), N: elements of the value; O(1) for strings.")
            .summary("Copies a value to another key."),
        keys::copy,
    ),
    Command::new(
        Spec::new("del", Group::Generic, -2, "key [key ...]")
            .flags(&[WRITE])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::range(1, -1, 1, &[RM, DELETE])])
            .since("1.0.0")
            .complexity("O(N), N: keys; for each that is not a string O(M), M: its elements.")
            .summary("Deletes keys.")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
        keys::del,
    ),
    Command::new(
        Spec::new("dump", Group::Generic, 2, "key")
            .flags(&[READONLY])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.6.0")
            .complexity("O(1) to find the key, O(N*M) to serialize N elements of size M.")
            .summary("Serializes the value of a key.")
            .tips(&["nondeterministic_output"]),
        dump::dump,
    ),
    Command::new(
        Spec::new("exists", Group::Generic, -2, "key [key ...]")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::range(1, -1, 1, &[RO])])
            .since("1.0.0")
            .complexity("O(N), N: keys.")
            .summary("Counts which of the keys exist.")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
            .history(&[("3.0.3", "Takes several keys.")]),
        keys::exists,
    ),
    Command::new(
        Spec::new("expire", Group::Generic, -3, "key seconds [NX | XX | GT | LT]@condition^7.0.0")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("1.0.0")
            .summary("Sets how many seconds a key still lives.")
            .history(&[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")]),
        expire::expire,
    ),
    Command::new(
        Spec::new(
            "expireat",
            Group::Generic,
            -3,
            "key unix-time-seconds [NX | XX | GT | LT]@condition^7.0.0",
        )
        .flags(&[WRITE, FAST])
        .categories(&[Category::Keyspace])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("1.2.0")
        .summary("Sets the second at which a key dies.")
        .history(&[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")]),
        expire::expireat,
    ),
    Command::new(
        Spec::new("expiretime", Group::Generic, 2, "key")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("7.0.0")
            .summary("Tells the second at which a key dies."),
        expire::expiretime,
    ),
    Command::new(
        Spec::new("keys", Group::Generic, 2, "pattern")
            .flags(&[READONLY])
            .categories(&[Category::Keyspace, Category::Dangerous])
            .since("1.0.0")
            .complexity("O(N), N: keys in the database.")
            .summary("Lists the keys that match a pattern.")
            .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
        keys::keys,
    ),
    Command::new(
        Spec::new(
            "migrate",
            Group::Generic,
            -6,
            "host port <key | \"\"@empty_string>@key_or_empty_string destination-db \
            timeout:integer [COPY^3.0.0] [REPLACE^3.0.0] [[AUTH password^4.0.7] | [AUTH2 \
            (username password)^6.0.0]]@authentication [KEYS key^3.0.6 [key ...]]",
        )
        .secrets(Secrets::Behind { start: 6, options: &[("AUTH", 1), ("AUTH2", 2)] })
        .flags(&[WRITE])
        .categories(&[Category::Keyspace, Category::Dangerous])
        .keys(&[
            KeySpec::one(3, &[RW, ACCESS, DELETE]),
            KeySpec::all_after("KEYS", -2, 0, &[RW, ACCESS, DELETE, INCOMPLETE]),
        ])
        .keys_by(KeysBy::Migrate)
        .since("2.6.0")
        .complexity("O(N), N: size of the values, as for DUMP and DEL here and RESTORE there.")
        .summary("Moves keys to another server.")
        .tips(&["nondeterministic_output"])
        .history(&[
            ("3.0.0", "`COPY` and `REPLACE`."),
            ("3.0.6", "`KEYS`."),
            ("4.0.7", "`AUTH`."),
            ("6.0.0", "`AUTH2`."),
        ]),
        migrate::migrate,
    ),
    Command::new(
        Spec::new("move", Group::Generic, 3, "key db:integer")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.0.0")
            .summary("Moves a key to another database."),
        keys::move_,
    ),
    Command::container(
        Spec::container("object", Group::Generic).since("2.2.3").summary("How a value is kept inside."),
        object::COMMANDS,
    ),
    Command::new(
        Spec::new("persist", Group::Generic, 2, "key")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("2.2.0")
            .summary("Removes the time to live of a key."),
        expire::persist,
    ),
    Command::new(
        Spec::new("pexpire", Group::Generic, -3, "key milliseconds [NX | XX | GT | LT]@condition^7.0.0")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("2.6.0")
            .summary("Sets how many milliseconds a key still lives.")
            .history(&[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")]),
        expire::pexpire,
    ),
    Command::new(
        Spec::new(
            "pexpireat",
            Group::Generic,
            -3,
            "key unix-time-milliseconds [NX | XX | GT | LT]@condition^7.0.0",
        )
        .flags(&[WRITE, FAST])
        .categories(&[Category::Keyspace])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("2.6.0")
        .summary("Sets the millisecond at which a key dies.")
        .history(&[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")]),
        expire::pexpireat,
    ),
    Command::new(
        Spec::new("pexpiretime", Group::Generic, 2, "key")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("7.0.0")
            .summary("Tells the millisecond at which a key dies."),
        expire::pexpiretime,
    ),
    Command::new(
        Spec::new("pttl", Group::Generic, 2, "key")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.6.0")
            .summary("Tells how many milliseconds a key still lives.")
            .tips(&["nondeterministic_output"])
            .history(&[("2.8.0", "-2 for a missing key.")]),
        expire::pttl,
    ),
    Command::new(
        Spec::new("randomkey", Group::Generic, 1, "")
            .flags(&[READONLY, TOUCHES_ARBITRARY_KEYS])
            .categories(&[Category::Keyspace])
            .since("1.0.0")
            .summary("Picks a key at random.")
            .tips(&["request_policy:all_shards", "nondeterministic_output"]),
        keys::randomkey,
    ),
    Command::new(
        Spec::new("rename", Group::Generic, 3, "key newkey")
            .flags(&[WRITE])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[OW, UPDATE])])
            .since("1.0.0")
            .complexity("O(1), plus freeing the value that is replaced.")
            .summary("Renames a key, over any key of the new name."),
        keys::rename,
    ),
    Command::new(
        Spec::new("renamenx", Group::Generic, 3, "key newkey")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[OW, INSERT])])
            .since("1.0.0")
            .summary("Renames a key if the new name is free.")
            .history(&[("3.2.0", "Equal names are no error.")]),
        keys::renamenx,
    ),
    Command::new(
        Spec::new(
            "restore",
            Group::Generic,
            -4,
            "key ttl serialized-value [REPLACE^3.0.0] [ABSTTL^5.0.0] [IDLETIME seconds^5.0.0] \
            [FREQ frequency^5.0.0]",
        )
        .flags(&[WRITE, DENYOOM])
        .categories(&[Category::Keyspace, Category::Dangerous])
        .keys(&[KeySpec::one(1, &[OW, UPDATE])])
        .since("2.6.0")
        .complexity(
            "O(1) to create the key, O(N*M) to rebuild N elements of size M; for sorted sets \
            O(N*M*log(N)).",
        )
        .summary("Creates a key from what DUMP serialized.")
        .history(&[
            ("3.0.0", "`REPLACE`."),
            ("5.0.0", "`ABSTTL`."),
            ("5.0.0", "`IDLETIME` and `FREQ`."),
        ]),
        dump::restore,
    ),
    Command::new(
        Spec::new(
            "restore-asking",
            Group::Server,
            -4,
            "key ttl serialized-value [REPLACE^3.0.0] [ABSTTL^5.0.0] [IDLETIME seconds^5.0.0] \
            [FREQ frequency^5.0.0]",
        )
        .flags(&[WRITE, DENYOOM, ASKING])
        .categories(&[Category::Keyspace, Category::Dangerous])
        .keys(&[KeySpec::one(1, &[OW, UPDATE])])
        .since("3.0.0")
        .complexity(
            "O(1) to create the key, O(N*M) to rebuild N elements of size M; for sorted sets \
            O(N*M*log(N)).",
        )
        .summary("RESTORE for slots that are being imported.")
        .system()
        .history(&[
            ("3.0.0", "`REPLACE`."),
            ("5.0.0", "`ABSTTL`."),
            ("5.0.0", "`IDLETIME` and `FREQ`."),
        ]),
        dump::restore,
    ),
    Command::new(
        Spec::new("scan", Group::Generic, -2, "cursor [MATCH pattern] [COUNT count] [TYPE type^6.0.0]")
            .flags(&[READONLY, TOUCHES_ARBITRARY_KEYS, LOOKS_AT_ANY_KEY])
            .categories(&[Category::Keyspace])
            .since("2.8.0")
            .complexity("O(1) for each call, O(N) for the whole walk, N: keys in the database.")
            .summary("Walks through the keys, a few for each call.")
            .tips(&["nondeterministic_output", "request_policy:special"])
            .history(&[("6.0.0", "`TYPE`.")]),
        scan::scan,
    ),
    Command::new(
        Spec::new(
            "sort",
            Group::Generic,
            -2,
            "key [BY pattern#1] [LIMIT (offset count)] [GET pattern#1 [GET pattern ...]] [ASC | \
            DESC]@order [ALPHA@sorting] [STORE destination#2]",
        )
        .flags(&[WRITE, DENYOOM])
        .categories(&[Category::Set, Category::SortedSet, Category::List, Category::Dangerous])
        .keys(&[
            KeySpec::one(1, &[RO, ACCESS]),
            KeySpec::unknown(&[RO, ACCESS])
                .notes("The keys that BY and GET patterns name are known only from the data."),
            KeySpec::unknown(&[OW, UPDATE]).notes("STORE can stand anywhere among the options."),
        ])
        .keys_by(KeysBy::Sort)
        .since("1.0.0")
        .complexity("O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting.")
        .summary("Sorts the elements of a list, set or sorted set; can store them."),
        sort::sort,
    ),
    Command::new(
        Spec::new(
            "sort_ro",
            Group::Generic,
            -2,
            "key [BY pattern#1] [LIMIT (offset count)] [GET pattern#1 [GET pattern ...]] [ASC | \
            DESC]@order [ALPHA@sorting]",
        )
        .flags(&[READONLY])
        .categories(&[Category::Set, Category::SortedSet, Category::List, Category::Dangerous])
        .keys(&[
            KeySpec::one(1, &[RO, ACCESS]),
            KeySpec::unknown(&[RO, ACCESS])
                .notes("The keys that BY and GET patterns name are known only from the data."),
        ])
        .keys_by(KeysBy::SortRo)
        .since("7.0.0")
        .complexity("O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting.")
        .summary("Sorts the elements of a list, set or sorted set."),
        sort::sort_ro,
    ),
    Command::new(
        Spec::new("touch", Group::Generic, -2, "key [key ...]")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::range(1, -1, 1, &[RO])])
            .since("3.2.1")
            .complexity("O(N), N: keys.")
            .summary("Marks keys as used and counts those that exist.")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
        keys::touch,
    ),
    Command::new(
        Spec::new("ttl", Group::Generic, 2, "key")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .summary("Tells how many seconds a key still lives.")
            .tips(&["nondeterministic_output"])
            .history(&[("2.8.0", "-2 for a missing key.")]),
        expire::ttl,
    ),
    Command::new(
        Spec::new("type", Group::Generic, 2, "key")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("1.0.0")
            .summary("Tells the type of a value."),
        keys::type_,
    ),
    Command::new(
        Spec::new("unlink", Group::Generic, -2, "key [key ...]")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::range(1, -1, 1, &[RM, DELETE])])
            .since("4.0.0")
            .complexity(
                "O(1) for each key; freeing is O(N), N: allocations of the value, on another \
                thread.",
            )
            .summary("Deletes keys and frees their values in the background.")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
        keys::unlink,
    ),
    Command::new(
        Spec::new("wait", Group::Generic, 3, "numreplicas:integer timeout:integer")
            .flags(&[NOSCRIPT])
            .categories(&[Category::Connection])
            .since("3.0.0")
            .summary("Waits until replicas have all writes of this connection.")
            .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
        wait::wait,
    ),
];
