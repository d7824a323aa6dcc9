//! DEBUG's looks at how values are stored: tables, listpacks, the nodes of lists.
//!
//! The figures are those of our own structures, under the names of Redis where they mean the same.
//! A table here is pages instead of chains, so HTSTATS speaks of pages; a quicklist's nodes are the
//! chunks of a list, none of which is ever compressed. Where Redis prints to its standard output we
//! write to the log, which is the standard output unless a file is configured.

use crate::base::text::parse_memory;
use crate::ds::chunk_list::ChunkRef;
use crate::ds::dict::TableShape;
use crate::ds::listpack::Listpack;
use crate::keyspace::{DbIndex, KeyView, List, Value, ValueRef};
use crate::server::{Args, CommandError, CommandResult, Ctx};

/// Larger thresholds are refused.
const MAX_THRESHOLD_BYTES: u64 = 4 << 30;
/// DEBUG QUICKLIST names no more nodes: the log is no place for a whole list.
const MAX_NODES_TOLD: usize = 100;

const BAD_THRESHOLD: CommandError =
    CommandError::fixed("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
const NO_TABLE: CommandError =
    CommandError::fixed("ERR The value stored at the specified key is not represented using an hash table");

pub(super) fn htstats(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let index = args.int()?;
    let db = u16::try_from(index).ok().and_then(|index| ctx.db.at(DbIndex(index)));
    let db = db.ok_or(CommandError::fixed("ERR Out of range database"))?;
    let mut text = format!("[Dictionary HT]\n{}", told(db.table_shape()));
    // The deadlines stand beside the keys; there is no second table.
    text.push_str(&format!("[Expires HT]\n number of elements: {}\n", db.deadlines_len()));
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

pub(super) fn htstats_key(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let view = ctx.db.peek(args.key()).ok_or(CommandError::NoSuchKey)?;
    let shape = match view.value {
        ValueRef::Object(value) => value.table_shape(),
        ValueRef::String(_) => None,
    };
    ctx.reply.verbatim("txt", told(shape.ok_or(NO_TABLE)?).as_bytes());
    Ok(())
}

/// A table's figures in words.
fn told(shape: TableShape) -> String {
    if shape.entries == 0 {
        return "No stats available for empty dictionaries\n".to_owned();
    }
    let average = shape.entries as f64 / shape.pages_in_use.max(1) as f64;
    format!(
        "Paged table stats:\n pages: {}\n number of elements: {}\n pages in use: {}\n elements of the fullest page: {}\n \
         elements of a page on average: {average:.2}\n",
        shape.pages, shape.entries, shape.pages_in_use, shape.largest_page
    )
}

/// Redis prints an address too; here it says nothing.
pub(super) fn object(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let clock = ctx.db.access_clock();
    let view = ctx.db.peek_stored(key).ok_or(CommandError::NoSuchKey)?;
    let length = crate::rdb::serialized_len(view.value);
    let idle_secs = clock.idle_ms(view.access()) / 1000;
    // Redis: by the clock that INFO shows as `lru_clock`.
    let access = (ctx.now.secs() - idle_secs) & 0xff_ffff;
    let line = format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{length} lru:{access} lru_seconds_idle:{idle_secs}{}",
        view.encoding(),
        list_of(&view).map(nodes).unwrap_or_default(),
    );
    ctx.reply.simple(&line);
    Ok(())
}

fn list_of<'a>(view: &KeyView<'a>) -> Option<&'a List> {
    if let ValueRef::Object(Value::List(list)) = view.value { Some(list) } else { None }
}

/// Returns the part that DEBUG OBJECT adds for a list.
fn nodes(list: &List) -> String {
    let elements = &list.elements;
    let count = elements.chunk_count();
    let bytes: usize = elements.chunks().map(chunk_bytes).sum();
    format!(
        " ql_nodes:{count} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:0 ql_uncompressed_size:{bytes}",
        elements.len() as f64 / count.max(1) as f64,
        elements.fill().level(),
    )
}

fn chunk_bytes(chunk: ChunkRef<'_>) -> usize {
    match chunk {
        ChunkRef::Packed(listpack) => listpack.byte_len(),
        ChunkRef::Plain(element) => element.len(),
    }
}

pub(super) fn listpack(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let view = ctx.db.peek(key).ok_or(CommandError::NoSuchKey)?;
    let listpack = listpack_of(&view).ok_or(CommandError::fixed("ERR Not a listpack encoded object."))?;
    let (bytes, elements) = (listpack.byte_len(), listpack.len());
    log::warn!("DEBUG LISTPACK {}: {bytes} bytes, {elements} elements", String::from_utf8_lossy(key));
    ctx.reply.simple("Listpack structure printed on stdout");
    Ok(())
}

fn listpack_of<'a>(view: &KeyView<'a>) -> Option<&'a Listpack> {
    match view.value {
        ValueRef::Object(Value::Hash(hash)) => hash.as_listpack(),
        ValueRef::Object(Value::SortedSet(set)) => set.as_listpack(),
        _ => None,
    }
}

pub(super) fn quicklist(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let view = ctx.db.peek(key).ok_or(CommandError::NoSuchKey)?;
    // Redis: what is no number is 0.
    let with_nodes = args.int().is_ok_and(|level| level != 0);
    let list = list_of(&view).ok_or(CommandError::fixed("ERR Not a quicklist encoded object."))?;
    log::warn!("DEBUG QUICKLIST {}: {} elements{}", String::from_utf8_lossy(key), list.len(), nodes(list));
    if with_nodes {
        list.elements.chunks().take(MAX_NODES_TOLD).for_each(|chunk| match chunk {
            ChunkRef::Packed(packed) => {
                log::warn!("packed: {} bytes, {} elements", packed.byte_len(), packed.len());
            }
            ChunkRef::Plain(element) => log::warn!("plain: {} bytes", element.len()),
        });
    }
    ctx.reply.simple("Quicklist structure printed on stdout");
    Ok(())
}

/// Redis goes by the threshold of the moment; here a list keeps the one it was made with, as it
/// keeps `list-max-listpack-size`.
pub(super) fn quicklist_packed_threshold(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let bytes =
        parse_memory(args.key()).filter(|&bytes| bytes <= MAX_THRESHOLD_BYTES).ok_or(BAD_THRESHOLD)?;
    ctx.db.set_list_plain_from(if bytes == 0 { u64::MAX } else { bytes });
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Protected;

    fn server() -> TestServer {
        TestServer::with(|config| config.enable_debug_command = Protected::Yes)
    }

    #[test]
    fn tables_are_described_in_pages() {
        let mut server = server();
        let empty = "[Dictionary HT]\\nNo stats available for empty dictionaries\\n\
                     [Expires HT]\\n number of elements: 0\\n";
        assert_eq!(server.run("DEBUG HTSTATS 0").replace('\n', "\\n"), quoted(empty));
        server.run("DEBUG POPULATE 1000");
        server.run("EXPIRE key:1 100");
        let text = server.run("DEBUG HTSTATS 0");
        assert!(
            text.contains(" number of elements: 1000") && text.contains(" number of elements: 1"),
            "{text}"
        );
        assert_eq!(server.run("DEBUG HTSTATS 16"), "(error) ERR Out of range database");
        assert_eq!(server.run("DEBUG HTSTATS-KEY nokey"), "(error) ERR no such key");
        let no_table =
            "(error) ERR The value stored at the specified key is not represented using an hash table";
        for line in ["SET k v", "RPUSH k a", "HSET k f v", "ZADD k 1 a", "SADD k 1"] {
            server.run("DEL k");
            server.run(line);
            assert_eq!(server.run("DEBUG HTSTATS-KEY k"), no_table, "{line}");
        }
        server.run("CONFIG SET zset-max-listpack-entries 0");
        server.run("ZADD z 1 a 2 b");
        assert!(server.run("DEBUG HTSTATS-KEY z").contains(" number of elements: 2"));
    }

    fn quoted(text: &str) -> String {
        format!("\"{text}\"")
    }

    #[test]
    fn lists_tell_of_their_nodes() {
        let mut server = server();
        server.run("CONFIG SET list-max-listpack-size 2");
        server.run("RPUSH l a b c");
        let line = server.run("DEBUG OBJECT l");
        assert!(
            line.ends_with(
                " ql_nodes:2 ql_avg_node:1.50 ql_listpack_max:2 ql_compressed:0 ql_uncompressed_size:23"
            ),
            "{line}"
        );
        for level in ["", " 1", " x"] {
            let line = format!("DEBUG QUICKLIST l{level}");
            assert_eq!(server.run(&line), "Quicklist structure printed on stdout", "{line}");
        }
        assert_eq!(server.run("DEBUG QUICKLIST nokey x"), "(error) ERR no such key");
        assert_eq!(server.run("DEBUG LISTPACK l"), "(error) ERR Not a listpack encoded object.");
        server.run("HSET h f v");
        assert_eq!(server.run("DEBUG QUICKLIST h"), "(error) ERR Not a quicklist encoded object.");
        assert_eq!(server.run("DEBUG LISTPACK h"), "Listpack structure printed on stdout");
    }

    #[test]
    fn the_packed_threshold_makes_nodes_of_single_elements() {
        let mut server = server();
        let refused = "(error) ERR argument must be a memory value bigger than 1 and smaller than 4gb";
        for size in ["x", "5gb", "-1"] {
            assert_eq!(server.run(&format!("DEBUG QUICKLIST-PACKED-THRESHOLD {size}")), refused, "{size}");
        }
        for (size, nodes) in [("1b", "ql_nodes:2"), ("0", "ql_nodes:1")] {
            assert_eq!(server.run(&format!("DEBUG QUICKLIST-PACKED-THRESHOLD {size}")), "OK");
            server.run("DEL l");
            server.run("RPUSH l a b");
            assert!(server.run("DEBUG OBJECT l").contains(nodes), "{size}");
        }
    }

    #[test]
    fn unsigned_payloads_are_restored_when_checksums_are_skipped() {
        let mut server = server();
        // A string of one byte, version 10, and a sum that is wrong.
        let restore = "RESTORE k 0 \"\\x00\\x01x\\x0a\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"";
        let refused = "(error) ERR DUMP payload version or checksum are wrong";
        assert_eq!(server.run(restore), refused);
        assert_eq!(server.run("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1"), "OK");
        assert_eq!(server.run(restore), "OK");
        assert_eq!(server.run("GET k"), "\"x\"");
        server.run("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0");
        assert_eq!(server.run(&restore.replace(" k ", " j ")), refused);
    }
}
