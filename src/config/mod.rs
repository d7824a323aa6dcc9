//! Every parameter, declared once.
#![allow(missing_docs)]
mod notify;
pub use notify::NotifyClasses;
#[derive(Clone, Debug)]
pub struct SavePoint {
    pub seconds: i64,
    pub changes: u64,
}
#[derive(Clone, Copy, Debug)]
pub enum Guard {
    No,
    Local,
    Yes,
}
impl Guard {
    pub fn admits(self, local: bool) -> bool {
        match self {
            Guard::No => false,
            Guard::Local => local,
            Guard::Yes => true,
        }
    }
}
#[derive(Clone, Debug)]
pub struct Config {
    pub rename_command: Vec<(String, String)>,
    pub databases: i64,
    pub requirepass: String,
    pub save: Vec<SavePoint>,
    pub stop_writes_on_bgsave_error: bool,
    pub notify_keyspace_events: NotifyClasses,
    pub lazyfree_lazy_expire: bool,
    pub timeout: i64,
    pub dbfilename: String,
    pub rdbcompression: bool,
    pub rdbchecksum: bool,
    pub list_max_listpack_size: i64,
    pub hash_max_listpack_entries: i64,
    pub hash_max_listpack_value: i64,
    pub set_max_intset_entries: i64,
    pub zset_max_listpack_entries: i64,
    pub zset_max_listpack_value: i64,
    pub proto_max_bulk_len: i64,
    pub client_query_buffer_limit: i64,
    pub maxclients: i64,
    pub enable_debug_command: Guard,
    pub enable_module_command: Guard,
}
impl Default for Config {
    fn default() -> Self {
        Config {
            rename_command: vec![],
            databases: 16,
            requirepass: String::new(),
            save: vec![],
            stop_writes_on_bgsave_error: true,
            notify_keyspace_events: NotifyClasses::NONE,
            lazyfree_lazy_expire: false,
            timeout: 0,
            dbfilename: "dump.rdb".into(),
            rdbcompression: true,
            rdbchecksum: true,
            list_max_listpack_size: -2,
            hash_max_listpack_entries: 128,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            proto_max_bulk_len: 512 << 20,
            client_query_buffer_limit: 1 << 30,
            maxclients: 10_000,
            enable_debug_command: Guard::No,
            enable_module_command: Guard::No,
        }
    }
}
