//! Whether every account of the ledger is used.

use crate::{report, sources};

/// Where accounts are declared.
const LEDGER: &str = "src/memory/ledger.rs";

#[test]
fn every_account_is_charged_or_measured() {
    let files = sources("src");
    let ledger = files.iter().find(|source| source.path == LEDGER).expect("there is a ledger");
    let declared = ledger.product().into_iter().skip_while(|line| !line.starts_with("pub enum Account {"));
    let accounts: Vec<_> = declared
        .skip(1)
        .take_while(|line| *line != "}")
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|line| !line.starts_with("//"))
        .collect();
    assert!(accounts.len() > 5, "{accounts:?}");
    let text = |path: fn(&str) -> bool| -> String {
        let chosen = files.iter().filter(|source| path(&source.path));
        chosen.flat_map(|source| source.product()).map(|line| format!("{line}\n")).collect()
    };
    let (ledger, others) = (text(|path| path == LEDGER), text(|path| path != LEDGER));
    let is_used = |account: &&&str| {
        others.contains(&format!("charge(Account::{account},"))
            || ledger.contains(&format!("Account::{account} => measured."))
    };
    let broken: Vec<_> =
        accounts.iter().filter(|account| !is_used(account)).map(|account| (*account).to_string()).collect();
    report("nobody charges these accounts", &broken);
}
