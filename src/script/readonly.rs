//! Tables that scripts can read and not write: [`Readonly`].
//!
//! Redis's Lua has a mark for such tables. Ours has not: scripts hold an empty table instead, whose
//! metatable leads reading to the real one and refuses writing. What goes round metatables
//! (`rawget`, `next`, `table.insert`) asks here first if its table is such a stand-in.

use super::raise;
use mlua::{Error, Lua, MultiValue, Result, Table, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The text of the error for who writes to such a table.
const REFUSAL: &str = "Attempt to modify a readonly table";

/// A real table behind a stand-in.
#[derive(Clone)]
struct Real {
    table: Table,
    /// What `getmetatable` gives for the stand-in.
    metatable: Option<Table>,
}

/// The stand-ins of one Lua state, by their address. They live as long as it does.
#[derive(Clone)]
pub struct Readonly {
    reals: Rc<RefCell<HashMap<usize, Real>>>,
    /// The real tables by their stand-ins, for code in Lua.
    index: Table,
}

impl Readonly {
    /// Without a stand-in.
    pub fn new(lua: &Lua) -> Result<Self> {
        Ok(Readonly { reals: Rc::default(), index: lua.create_table()? })
    }

    /// A stand-in for `real`, with the metatable that scripts see of it.
    pub fn stand_in(&self, lua: &Lua, real: Table, metatable: Option<Table>) -> Result<Table> {
        let stand_in = lua.create_table()?;
        let behaviour = lua.create_table()?;
        behaviour.raw_set("__index", &real)?;
        behaviour.raw_set(
            "__newindex",
            lua.create_function(|lua, _: MultiValue| -> Result<()> { Err(raise::at_caller(lua, REFUSAL)) })?,
        )?;
        behaviour.raw_set("__metatable", false)?;
        stand_in.set_metatable(Some(behaviour))?;
        self.index.raw_set(&stand_in, &real)?;
        self.reals.borrow_mut().insert(address(&stand_in), Real { table: real, metatable });
        Ok(stand_in)
    }

    /// The real tables by their stand-ins.
    #[must_use]
    pub fn index(&self) -> &Table {
        &self.index
    }

    /// True for a stand-in.
    #[must_use]
    pub fn holds(&self, table: &Table) -> bool {
        self.reals.borrow().contains_key(&address(table))
    }

    /// The table that is read when `table` is: the real one behind a stand-in, else itself. No
    /// script may get it.
    #[must_use]
    pub fn real(&self, table: &Table) -> Table {
        self.reals.borrow().get(&address(table)).map_or_else(|| table.clone(), |real| real.table.clone())
    }

    /// The metatable that scripts see of the stand-in `table`; `None` if it is no stand-in.
    #[must_use]
    pub fn metatable(&self, table: &Table) -> Option<Value> {
        let reals = self.reals.borrow();
        let real = reals.get(&address(table))?;
        Some(real.metatable.clone().map_or(Value::Nil, Value::Table))
    }

    /// Fails for a stand-in, as what writes past metatables does.
    pub fn check_writable(&self, table: &Table) -> Result<()> {
        if self.holds(table) { Err(refusal()) } else { Ok(()) }
    }
}

/// The error without a line.
fn refusal() -> Error {
    raise::text(REFUSAL)
}

fn address(table: &Table) -> usize {
    table.to_pointer() as usize
}
