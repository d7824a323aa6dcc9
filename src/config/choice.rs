//! Parameters with a fixed set of words: one enum each, its words declared beside its variants.
//!
//! The order of the words is the order in which the error message lists them.

/// A parameter value that is one of a few words.
pub trait Choice: Copy + Eq + 'static {
    /// The value of each word, in the order error messages list them. A value of several words is
    /// there several times; CONFIG GET shows the first of them.
    const ALL: &'static [Self];
    /// The words, in the order of [`Choice::ALL`].
    const WORDS: &'static [&'static str];

    /// The word CONFIG GET shows.
    fn word(self) -> &'static str {
        Self::WORDS[self.position()]
    }

    /// The first place of this value in [`Choice::ALL`].
    fn position(self) -> usize {
        Self::ALL.iter().position(|value| *value == self).expect("ALL lists every value")
    }
}

macro_rules! choices {
    ($(
        $(#[$meta:meta])*
        $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal $(| $alias:literal)* ),+ $(,)? }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_meta])* $variant ),+ }

        impl Choice for $name {
            const ALL: &'static [Self] = &[ $( $name::$variant, $( { let _ = $alias; $name::$variant }, )* )+ ];
            const WORDS: &'static [&'static str] = &[ $( $word, $( $alias, )* )+ ];
        }
    )+ };
}

choices! {
    /// The keys that may be evicted, and their order, when memory is full.
    MaxmemoryPolicy {
        /// Least recently used, among keys with a TTL.
        VolatileLru = "volatile-lru",
        /// Least frequently used, among keys with a TTL.
        VolatileLfu = "volatile-lfu",
        /// Any key with a TTL.
        VolatileRandom = "volatile-random",
        /// The key whose TTL ends first.
        VolatileTtl = "volatile-ttl",
        /// Least recently used, among all keys.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used, among all keys.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// None: writes that need memory are refused.
        Noeviction = "noeviction",
    }
    /// The moments at which the append-only file is forced to disk.
    Appendfsync {
        /// Once a second.
        Everysec = "everysec",
        /// Before each reply.
        Always = "always",
        /// When the operating system likes.
        No = "no",
    }
    /// The least important line that is still logged.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Much.
        Verbose = "verbose",
        /// The lines that an operator wants to see.
        Notice = "notice",
        /// Only what matters.
        Warning = "warning",
    }
    /// The supervisor that is told that the server is ready.
    Supervised {
        /// Upstart.
        Upstart = "upstart",
        /// systemd's notification socket.
        Systemd = "systemd",
        /// Whichever the environment names.
        Auto = "auto",
        /// None.
        No = "no",
    }
    /// The syslog facility.
    SyslogFacility {
        /// LOG_USER.
        User = "user",
        /// LOG_LOCAL0.
        Local0 = "local0",
        /// LOG_LOCAL1.
        Local1 = "local1",
        /// LOG_LOCAL2.
        Local2 = "local2",
        /// LOG_LOCAL3.
        Local3 = "local3",
        /// LOG_LOCAL4.
        Local4 = "local4",
        /// LOG_LOCAL5.
        Local5 = "local5",
        /// LOG_LOCAL6.
        Local6 = "local6",
        /// LOG_LOCAL7.
        Local7 = "local7",
    }
    /// The way in which a replica loads a full sync without a file.
    ReplDisklessLoad {
        /// Through a file.
        Disabled = "disabled",
        /// Straight from the socket when there is nothing to lose.
        OnEmptyDb = "on-empty-db",
        /// Straight from the socket, the old data kept beside it.
        Swapdb = "swapdb",
    }
    /// Says if the kernel's out-of-memory killer is told whom to prefer.
    OomScoreAdj {
        /// No.
        No = "no",
        /// Added to the score the process was started with.
        Relative = "yes" | "relative",
        /// Written as they stand.
        Absolute = "absolute",
    }
    /// The rights of a new user to pub/sub channels.
    AclPubsubDefault {
        /// All channels.
        Allchannels = "allchannels",
        /// None.
        Resetchannels = "resetchannels",
    }
    /// The cases in which payloads of RESTORE and full syncs are checked in depth.
    SanitizeDumpPayload {
        /// Never.
        No = "no",
        /// Always.
        Yes = "yes",
        /// For payloads that come from ordinary clients.
        Clients = "clients",
    }
    /// The clients that may do something dangerous.
    Protected {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Clients on this machine.
        Local = "local",
    }
    /// Says if TLS clients must show a certificate.
    TlsAuthClients {
        /// Not asked.
        No = "no",
        /// Required.
        Yes = "yes",
        /// Asked, not required.
        Optional = "optional",
    }
    /// The way in which cluster redirections name a node.
    ClusterEndpoint {
        /// By address.
        Ip = "ip",
        /// By announced host name.
        Hostname = "hostname",
        /// Not at all: the client keeps the address it knows.
        UnknownEndpoint = "unknown-endpoint",
    }
    /// The reaction to a propagated command that fails.
    PropagationError {
        /// It is counted.
        Ignore = "ignore",
        /// The server stops.
        Panic = "panic",
        /// The server stops if it is a replica.
        PanicOnReplicas = "panic-on-replicas",
    }
}

impl Protected {
    /// True when a client may, given whether it is connected from this machine.
    pub fn admits(self, local: bool) -> bool {
        match self {
            Protected::No => false,
            Protected::Yes => true,
            Protected::Local => local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_pair_up() {
        assert_eq!(MaxmemoryPolicy::ALL.len(), MaxmemoryPolicy::WORDS.len());
        assert_eq!(MaxmemoryPolicy::Noeviction.word(), "noeviction");
        assert_eq!(Appendfsync::Always.word(), "always");
        assert_eq!(ClusterEndpoint::UnknownEndpoint.word(), "unknown-endpoint");
        assert_eq!(OomScoreAdj::WORDS, ["no", "yes", "relative", "absolute"]);
        assert_eq!(OomScoreAdj::Relative.word(), "yes");
        assert_eq!(OomScoreAdj::ALL[3], OomScoreAdj::Absolute);
    }
}
