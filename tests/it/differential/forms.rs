//! Calls of commands whose syntax line does not say enough to write some that mean something: it
//! has no arguments for what is an argument, or a random value would end or stop the server.
//!
//! They are templates ([`super::template`]); `!` keeps a call as it is.

/// A command, and how its calls are written.
pub(super) const FORMS: &[(&str, &[&str])] = &[
    ("acl|cat", &["ACL CAT [(string|hash|geo|keyspace|nosuch|{text})]"]),
    ("acl|deluser", &["!ACL DELUSER (u1|u2|nosuch|{text})+"]),
    ("acl|dryrun", &["ACL DRYRUN (default|u1|nosuch|{text}) (get|set|nosuch|config|ping|del|GET) {edge}*"]),
    ("acl|genpass", &["ACL GENPASS [(1|5|256|4096|4097|0|{number})]"]),
    ("acl|getuser", &["ACL GETUSER (default|u1|nosuch|{text})"]),
    ("acl|log", &["ACL LOG [(RESET|reset|1|0|{number}|{text})]"]),
    (
        "acl|setuser",
        &["!ACL SETUSER (u1|u2) {rule}* [{opening} {rule}*]", "!ACL SETUSER ({text}) off {rule}"],
    ),
    ("auth", &["!AUTH (x|{text})", "!AUTH default (x|{text})", "!AUTH default x y"]),
    ("bgrewriteaof", &["!BGREWRITEAOF (x|{text})"]),
    ("bgsave", &["!BGSAVE (x|NOW|SCHEDUL|{text})", "!BGSAVE SCHEDULE {text}"]),
    ("client|caching", &["CLIENT CACHING (YES|NO|x)"]),
    (
        "client|kill",
        &[
            "!CLIENT KILL ID 999999999 [(ADDR|LADDR) (1.2.3.4:5|x|{text})] [TYPE (normal|pubsub|master|replica|slave|x)] [SKIPME (yes|no|x)] [USER (default|nosuch)]",
            "!CLIENT KILL ID ({number}|{text}) ID 999999999",
            "!CLIENT KILL (1.2.3.4:5|x|{text})",
            "!CLIENT KILL USER (nosuch|{text}) [TYPE]",
        ],
    ),
    (
        "client|list",
        &["CLIENT LIST [TYPE (normal|pubsub|master|replica|x)]", "CLIENT LIST ID (999999999|{number}|x)+"],
    ),
    (
        "client|pause",
        &[
            "!CLIENT PAUSE (0|1|-1|-0|x|1.5|9223372036854775807|9223372036854775808|-9223372036854775808) [(WRITE|ALL|x)] [x]",
        ],
    ),
    ("client|setname", &["CLIENT SETNAME (a|{text}|c:d)"]),
    (
        "client|tracking",
        &[
            "!CLIENT TRACKING (ON|OFF|x) [REDIRECT (999999999|{number})] [BCAST]+ [(PREFIX {text})+] [OPTIN] [OPTOUT] [NOLOOP]",
        ],
    ),
    ("client|unblock", &["!CLIENT UNBLOCK (999999999|{number}) [(TIMEOUT|ERROR|x)]"]),
    ("command|docs", &["!COMMAND DOCS {command}+"]),
    (
        "command|getkeys",
        &[
            "COMMAND GETKEYS (get|set|nosuch|ping|config|object|mset|zunionstore|zunion|sort|migrate|lmpop) ({edge}|{number}|{text})*",
        ],
    ),
    (
        "command|getkeysandflags",
        &[
            "COMMAND GETKEYSANDFLAGS (get|set|nosuch|ping|config|object|mset|zunionstore|zunion|sort|migrate|lmpop) ({edge}|{number}|{text})*",
        ],
    ),
    ("command|info", &["!COMMAND INFO {command}+"]),
    (
        "command|list",
        &["COMMAND LIST FILTERBY (ACLCAT (string|geo|hash|nosuch)|PATTERN (ge*|z*|nosuch)|MODULE x|x y)"],
    ),
    ("config|get", &["CONFIG GET {parameter}+", "CONFIG GET (hash-*|*-listpack-*|zset-*) {parameter}"]),
    ("config|set", &["!CONFIG SET ({parameter} {number})+", "!CONFIG SET {parameter} {number} {parameter}"]),
    (
        "debug",
        &[
            "DEBUG DIGEST-VALUE {edge}+",
            "DEBUG ERROR ({text}|(ERR x))",
            "DEBUG (LISTPACK|QUICKLIST|HTSTATS-KEY) (missing|int|text|list|ints)",
            "DEBUG QUICKLIST (list|int|missing) (0|1|x|{number})",
            "DEBUG HTSTATS (-1|16|x|9223372036854775808)",
            "DEBUG OBJECT missing",
            "DEBUG PROTOCOL (string|integer|double|null|array|set|map|verbatim|true|false|bignum|x)",
            "DEBUG SLEEP (0|-1|0.001|x)",
            "DEBUG POPULATE (0|3|-1|x) [p] [(0|5|-1|x)]",
            "!DEBUG QUICKLIST-PACKED-THRESHOLD (0|-1|x|5gb|1gb)",
            "!DEBUG REPLYBUFFER (PEAK-RESET-TIME (NEVER|RESET|x|5)|RESIZING (0|1)|x y)",
            "!DEBUG (SET-ACTIVE-EXPIRE|PAUSE-CRON|SET-SKIP-CHECKSUM-VALIDATION) (0|1)",
            "!DEBUG (x|{text}|DIGEST x|RELOAD x|RELOAD)",
            "!DEBUG SET-ACTIVE-EXPIRE 1",
            "!DEBUG PAUSE-CRON 0",
        ],
    ),
    ("eval", &["EVAL (return#KEYS|return#ARGV|return'x'|return|x|{text}) (0|1|2|{number}) {edge}*"]),
    ("eval_ro", &["EVAL_RO (return#KEYS|return#ARGV|return'x'|x|{text}) (0|1|2|{number}) {edge}*"]),
    (
        "evalsha",
        &[
            "EVAL return#KEYS 0",
            "EVALSHA (3fe9b596cfa2cd880607056c0a332799474c5726|3FE9B596CFA2CD880607056C0A332799474C5726|{text}) (0|1|2|{number}) {edge}*",
        ],
    ),
    (
        "evalsha_ro",
        &[
            "SCRIPT LOAD return#KEYS",
            "EVALSHA_RO (3fe9b596cfa2cd880607056c0a332799474c5726|{text}) (0|1|2|{number}) {edge}*",
        ],
    ),
    ("function|list", &["FUNCTION LIST [(WITHCODE|LIBRARYNAME {text}|x)]+"]),
    ("hello", &["!HELLO [(2|3|4|1|{number})] [AUTH default x] [SETNAME (a|{text})] [(x|AUTH default)]"]),
    (
        "hrandfield",
        &["HRANDFIELD (hash|bighash|missing|int|{edge}) [(1|2|3|1000|-1|-5|0|{text}|{number})] [WITHVALUES]"],
    ),
    ("latency|graph", &["LATENCY GRAPH (command|{text})"]),
    ("latency|histogram", &["LATENCY HISTOGRAM (nosuch|{text}|get|config)+"]),
    ("lolwut", &["LOLWUT VERSION (5|6|1|x|{number}) [({number}|3)]+"]),
    ("memory|usage", &["MEMORY USAGE {edge} [SAMPLES (0|1|5|{number})]"]),
    (
        "migrate",
        &[
            "!MIGRATE 127.0.0.1 1 {edge} (0|{number}) (1|100|{number}) [COPY] [REPLACE] [AUTH x] [AUTH2 x y] [KEYS {edge}+]",
            "!MIGRATE 127.0.0.1 1 missing 0 100 (COPY|REPLACE|AUTH|AUTH2|AUTH2 x|KEYS|KEYS missing|x)+",
        ],
    ),
    ("module|load", &["MODULE LOAD (/nosuch|{text}) {text}*"]),
    ("module|loadex", &["MODULE LOADEX (/nosuch|{text}) [CONFIG x y] [ARGS x]"]),
    ("pfdebug", &["PFDEBUG (GETREG|DECODE|ENCODING|TODENSE|x) (hll|{edge})"]),
    (
        "restore",
        &[
            "RESTORE {edge} ({number}|0) {text} [REPLACE] [ABSTTL] [IDLETIME {number}] [FREQ (0|255|256|{number})]",
        ],
    ),
    (
        "scan",
        &[
            "SCAN (0|{number}|{text}) [MATCH (m*|*set|{text})]+ [COUNT (1|10|1000|{number})]+ [TYPE (string|set|nosuch)]+",
        ],
    ),
    (
        "script|exists",
        &[
            "SCRIPT EXISTS (3fe9b596cfa2cd880607056c0a332799474c5726|{text}|3FE9B596CFA2CD880607056C0A332799474C5726)+",
        ],
    ),
    ("script|flush", &["SCRIPT FLUSH [(SYNC|ASYNC|async|x|{text})]"]),
    ("script|load", &["SCRIPT LOAD (return#KEYS|return|x|{text})"]),
    ("select", &["SELECT (0|15|16|{number}|{text})"]),
    ("shutdown", &["!SHUTDOWN (ABORT|x|NOSAVE SAVE|ABORT NOW|SAVE ABORT|NOW FORCE x|{text})"]),
    ("slowlog|get", &["SLOWLOG GET [(1|-1|-2|0|{number})]"]),
    ("spop", &["SPOP (ints|set|bigset|missing|int|{edge}) [(1|2|5|{number})]"]),
    ("srandmember", &["SRANDMEMBER (ints|set|bigset|missing|int|{edge}) [(1|2|-5|1000|0|{number})]"]),
    ("subscribe", &["SUBSCRIBE ({text}|a)+"]),
    (
        "xread",
        &[
            "!XREAD [COUNT ({number}|1|x)] [BLOCK (1|-1|x|1.5)] STREAMS (stream|missing|list|{edge})+ (0|1|1-5|5|$|>|+|-|x|{text})+",
            "!XREAD STREAMS (stream|missing) (0|{text})",
        ],
    ),
    (
        "xreadgroup",
        &[
            "!XREADGROUP GROUP (a|m1|nosuch|{text}) (m1|a|{text}) [COUNT ({number}|1|x)] [BLOCK (1|-1|x)] [NOACK] STREAMS (stream|missing|list|{edge})+ (0|1|1-5|>|$|x|{text})+",
            "!XREADGROUP GROUP (a|m1) (m1|a) STREAMS stream (>|0|{text})",
        ],
    ),
    (
        "zrandmember",
        &[
            "ZRANDMEMBER (zset|bigzset|missing|int|{edge}) [(1|2|3|1000|-1|-5|0|{text}|{number})] [WITHSCORES]",
        ],
    ),
];
