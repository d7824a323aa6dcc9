//! Lua's `table` library: [`open`]. What walks over a table of any length is ours.
//!
//! Moving and sorting is code in Lua: it reads and writes a table faster than Rust code can, and
//! Lua looks at the interrupt while it runs. Errors in it do not name its lines ([`call_in_lua`]).

use super::in_lua;
use crate::script::arguments::{Arguments, bytes, type_name};
use crate::script::readonly::Readonly;
use crate::script::{meter, protect, raise};
use memchr::memmem;
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table, Value};

/// The most elements that Lua's own functions may move: some hundred microseconds.
const OWN_MOVES: i64 = 10_000;
/// What an element costs in units of work.
const WORK_PER_ELEMENT: usize = 8;
/// Work that is done before the meter hears of it.
const UNHEARD_WORK: usize = 4096;
/// The beginning of an error that comes from the code in Lua here: its name, before the line.
const OWN_NAME: &[u8] = b"[C]:";

/// `insert` and `remove` for many elements, `maxn`, and the walks of `foreach` and `foreachi`.
const WALKS: &str = r#"
local get, set, next, type = ...

local function move_up(list, last, place, value)
    for index = last, place + 1, -1 do set(list, index, get(list, index - 1)) end
    set(list, place, value)
end

local function move_down(list, last, place)
    local removed = get(list, place)
    for index = place, last - 1 do set(list, index, get(list, index + 1)) end
    set(list, last, nil)
    return removed
end

local function maxn(list)
    local largest = 0
    for key in next, list do
        if type(key) == 'number' and key > largest then largest = key end
    end
    return largest
end

local function foreach(list, act)
    for key, value in next, list do
        local result = act(key, value)
        if result ~= nil then return result end
    end
end

local function foreachi(list, act, count)
    for index = 1, count do
        local result = act(index, get(list, index))
        if result ~= nil then return result end
    end
end

return move_up, move_down, maxn, foreach, foreachi
"#;

/// Sorting, with the steps of Lua's own, so that wrong orders give the same results. `@1` to `@5`
/// stand for comparisons ([`COMPARED`]). It returns true if the order is none. What has a metatable
/// is sorted as a copy, for the code here would ask the metatable.
const SORT: &str = r#"
local get, set, getmetatable = ...

local function sort(list, less, first, last)
    while first < last do
        local low, high = list[first], list[last]
        if @1 then list[first], list[last] = high, low end
        if last - first == 1 then return end
        local middle = (first + last - (first + last) % 2) / 2
        local pivot, edge = list[middle], list[first]
        if @2 then
            list[middle], list[first] = edge, pivot
        else
            edge = list[last]
            if @3 then list[middle], list[last] = edge, pivot end
        end
        if last - first == 2 then return end
        pivot = list[middle]
        list[middle], list[last - 1] = list[last - 1], pivot
        local left, right = first, last - 1
        while true do
            left = left + 1
            local from_left = list[left]
            while @4 do
                if left > last then return true end
                left = left + 1
                from_left = list[left]
            end
            right = right - 1
            local from_right = list[right]
            while @5 do
                if right < first then return true end
                right = right - 1
                from_right = list[right]
            end
            if right < left then break end
            list[left], list[right] = from_right, from_left
        end
        list[last - 1], list[left] = list[left], list[last - 1]
        if left - first < last - left then
            if sort(list, less, first, left - 1) then return true end
            first = left + 1
        else
            if sort(list, less, left + 1, last) then return true end
            last = left - 1
        end
    end
end

return function(list, less, count)
    if not getmetatable(list) then return sort(list, less, 1, count) end
    local copy = {}
    for index = 1, count do copy[index] = get(list, index) end
    local is_wrong = sort(copy, less, 1, count)
    for index = 1, count do set(list, index, copy[index]) end
    return is_wrong
end
"#;

/// What is compared in [`SORT`].
const COMPARED: [(&str, &str); 5] =
    [("high", "low"), ("pivot", "edge"), ("edge", "pivot"), ("from_left", "pivot"), ("pivot", "from_right")];

/// The functions in Lua.
#[derive(Clone)]
struct Walks {
    readonly: Readonly,
    move_up: Function,
    move_down: Function,
    maxn: Function,
    foreach: Function,
    foreachi: Function,
}

/// Replaces what is ours in the library. Before the globals are replaced.
pub fn open(lua: &Lua, globals: &Table, library: &Table, readonly: &Readonly) -> Result<()> {
    let named = |names: &[&str]| -> Result<MultiValue> {
        names.iter().map(|name| globals.raw_get::<Value>(*name)).collect()
    };
    let (move_up, move_down, maxn, foreach, foreachi) =
        in_lua(lua, WALKS)?.call(named(&["rawget", "rawset", "next", "type"])?)?;
    let walks = Walks { readonly: readonly.clone(), move_up, move_down, maxn, foreach, foreachi };
    library.raw_set("concat", meter::function(lua, concat)?)?;
    open_moves(lua, library, &walks)?;
    open_walks(lua, library, &walks)?;
    let sorters = Sorters::new(lua, &named(&["rawget", "rawset", "getmetatable"])?)?;
    library.raw_set("sort", lua.create_function(move |lua, values| sort(lua, &sorters, values))?)
}

fn open_moves(lua: &Lua, library: &Table, walks: &Walks) -> Result<()> {
    let own: Function = library.raw_get("insert")?;
    let known = walks.clone();
    let insert = move |lua: &Lua, values| insert(lua, &known, &own, values);
    library.raw_set("insert", meter::function(lua, insert)?)?;
    let own: Function = library.raw_get("remove")?;
    let known = walks.clone();
    let remove = move |lua: &Lua, values| remove(lua, &known, &own, values);
    library.raw_set("remove", meter::function(lua, remove)?)
}

fn open_walks(lua: &Lua, library: &Table, walks: &Walks) -> Result<()> {
    let known = walks.clone();
    let maxn = move |lua: &Lua, values| {
        let table = Arguments::new(lua, values).table(1)?.clone();
        call_in_lua(lua, &known.maxn, known.readonly.real(&table))
    };
    library.raw_set("maxn", lua.create_function(maxn)?)?;
    let known = walks.clone();
    let foreach = move |lua: &Lua, values| {
        let (table, act) = table_and_function(lua, values)?;
        call_in_lua(lua, &known.foreach, (known.readonly.real(&table), act))
    };
    library.raw_set("foreach", lua.create_function(foreach)?)?;
    let known = walks.clone();
    let foreachi = move |lua: &Lua, values| {
        let (table, act) = table_and_function(lua, values)?;
        let count = table.raw_len();
        call_in_lua(lua, &known.foreachi, (table, act, count))
    };
    library.raw_set("foreachi", lua.create_function(foreachi)?)
}

fn table_and_function(lua: &Lua, mut values: MultiValue) -> Result<(Table, Function)> {
    values.truncate(2);
    let arguments = Arguments::new(lua, values);
    let table = arguments.table(1)?.clone();
    match arguments.get(2) {
        Some(Value::Function(function)) => Ok((table, function.clone())),
        _ => Err(arguments.wrong_type(2, "function")),
    }
}

fn insert(lua: &Lua, walks: &Walks, own: &Function, values: MultiValue) -> Result<()> {
    let count = values.len();
    let arguments = Arguments::new(lua, values);
    let table = arguments.table(1)?;
    let end = table.raw_len() as i64 + 1;
    let place = match count {
        2 => end,
        3 => i64::from(arguments.integer(2)? as i32),
        _ => return Err(raise::at_caller(lua, "wrong number of arguments to 'insert'")),
    };
    walks.readonly.check_writable(table)?;
    let value = arguments.any(count)?;
    let moved = end - place;
    if moved <= 0 {
        return table.raw_set(place, value);
    }
    if moved <= OWN_MOVES {
        meter::spend(lua, moved as usize * WORK_PER_ELEMENT)?;
        return own.call((table, place, value));
    }
    call_in_lua(lua, &walks.move_up, (table, end, place, value)).map(drop)
}

/// Gives nothing, and not nil, if nothing is removed.
fn remove(lua: &Lua, walks: &Walks, own: &Function, values: MultiValue) -> Result<MultiValue> {
    let arguments = Arguments::new(lua, values);
    let table = arguments.table(1)?;
    let end = table.raw_len() as i64;
    let place = i64::from(arguments.integer_or(2, end)? as i32);
    if place < 1 || place > end {
        return Ok(MultiValue::new());
    }
    walks.readonly.check_writable(table)?;
    if end - place <= OWN_MOVES {
        meter::spend(lua, (end - place) as usize * WORK_PER_ELEMENT)?;
        return own.call((table, place));
    }
    call_in_lua(lua, &walks.move_down, (table, end, place))
}

fn concat(lua: &Lua, values: MultiValue) -> Result<LuaString> {
    let arguments = Arguments::new(lua, values);
    let separator = if arguments.is_none_or_nil(2) { lua.create_string("")? } else { arguments.string(2)? };
    let separator = bytes(&separator);
    let table = arguments.table(1)?;
    let first = i64::from(arguments.integer_or(3, 1)? as i32);
    let last = i64::from(arguments.integer_or(4, table.raw_len() as i64)? as i32);
    let mut joined = Joined { lua, bytes: Vec::new(), work: 0 };
    for index in first..=last {
        joined.add(table.raw_get(index)?, index)?;
        if index < last {
            joined.append(&separator)?;
        }
    }
    meter::spend(lua, joined.work)?;
    lua.create_string(joined.bytes)
}

/// The result of `concat` as it grows.
struct Joined<'a> {
    lua: &'a Lua,
    bytes: Vec<u8>,
    /// Work that the meter has not heard of.
    work: usize,
}

impl Joined<'_> {
    /// Adds the element at `index`.
    fn add(&mut self, value: Value, index: i64) -> Result<()> {
        self.work += WORK_PER_ELEMENT;
        match value {
            Value::String(text) => self.append(&bytes(&text)),
            Value::Integer(_) | Value::Number(_) => match self.lua.coerce_string(value)? {
                Some(text) => self.append(&bytes(&text)),
                None => Ok(()),
            },
            other => {
                let kind = type_name(&other);
                let message = format!("invalid value ({kind}) at index {index} in table for 'concat'");
                Err(raise::at_caller(self.lua, message))
            }
        }
    }

    fn append(&mut self, more: &[u8]) -> Result<()> {
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            meter::reserve(self.lua, 2 * (self.bytes.len() + more.len()))?;
        }
        self.work += more.len() / WORK_PER_ELEMENT;
        if self.work > UNHEARD_WORK {
            meter::spend(self.lua, std::mem::take(&mut self.work))?;
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

/// The code that sorts by an order of the script's, and by Lua's.
struct Sorters {
    by_order: Function,
    by_size: Function,
}

impl Sorters {
    fn new(lua: &Lua, functions: &MultiValue) -> Result<Self> {
        let sorter = |comparison: fn(&str, &str) -> String| -> Result<Function> {
            let code = (1..).zip(COMPARED).fold(SORT.to_owned(), |code, (number, (left, right))| {
                code.replace(&format!("@{number}"), &comparison(left, right))
            });
            in_lua(lua, &code)?.call(functions.clone())
        };
        Ok(Sorters {
            by_order: sorter(|left, right| format!("less({left}, {right})"))?,
            by_size: sorter(|left, right| format!("{left} < {right}"))?,
        })
    }
}

fn sort(lua: &Lua, sorters: &Sorters, mut values: MultiValue) -> Result<()> {
    values.truncate(2);
    let arguments = Arguments::new(lua, values);
    let table = arguments.table(1)?;
    let (sorter, order) = match arguments.get(2) {
        None | Some(Value::Nil) => (&sorters.by_size, Value::Nil),
        Some(order @ Value::Function(_)) => (&sorters.by_order, order.clone()),
        _ => return Err(arguments.wrong_type(2, "function")),
    };
    let results = call_in_lua(lua, sorter, (table, order, table.raw_len()))?;
    if matches!(results.front(), Some(Value::Boolean(true))) {
        return Err(raise::at_caller(lua, "invalid order function for sorting"));
    }
    Ok(())
}

/// Calls one of the functions in Lua here. A line of theirs is taken off an error: Lua's own are no
/// Lua code and have none.
fn call_in_lua(lua: &Lua, function: &Function, arguments: impl IntoLuaMulti) -> Result<MultiValue> {
    let value = match protect::try_call(lua, function, arguments)? {
        Ok(results) => return Ok(results),
        Err(value) => value,
    };
    let Value::String(text) = &value else { return Err(raise::value(value)) };
    let text = bytes(text);
    match text.strip_prefix(OWN_NAME).and_then(|rest| Some(&rest[memmem::find(rest, b": ")? + 2..])) {
        Some(rest) => Err(raise::text(rest)),
        None => Err(raise::text(&*text)),
    }
}

#[cfg(test)]
mod tests;
