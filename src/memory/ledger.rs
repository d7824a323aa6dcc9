//! The ledger: memory that is in use for a reason of its own, by named accounts.
//!
//! Whoever takes memory that is not there to stay says so with a [`Charge`] on an [`Account`]; the
//! charge is taken back when it is dropped, on whatever thread and for whatever reason that
//! happens. Two accounts need no charges, for their figure is known where it arises ([`Measured`]):
//! it is the difference of two counts that are kept anyway. All accounts at one moment are a
//! [`Balance`]; `maxmemory`, INFO and MEMORY STATS read that.
//!
//! Each account says itself what `maxmemory` makes of it ([`Account::counting`]). Data is on no
//! account: it is what is left when all else is known.
//!
//! The ledger is never freed: a charge may outlive the server, on a thread that ends later, and to
//! count who holds one would cost each batch of requests two more writes to memory that all threads
//! share. All accounts are kept alike, those of one thread too: to change a [`Sum`] that nobody
//! else changes costs next to nothing.

use crate::base::alloc::Sum;

/// So much may pass without being counted, bytes: what goes beyond shall be made room for.
const MAX_PASSING_BYTES: u64 = 16 << 20;

/// The purposes that memory is in use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Propagated commands that are not in the append-only file. Measured. Source: `mem_aof_buffer`
    /// and `aof_buffer_length` of INFO, `aof.buffer` of MEMORY STATS.
    AofBuffer,
    /// Values on their way to the thread that frees them. Source: the bytes of
    /// `lazyfree_pending_objects`.
    LazyFree,
    /// Chunks that exist twice because they are on their way to whoever reads the state at the
    /// beginning of a walk. Measured.
    WalkCopies,
    /// Values that were evicted, and that the reader of an old state may still hold.
    HeldEvicted,
    /// Invalidations and notifications of this turn's evictions, until the turn's answers have
    /// left.
    EvictionNotices,
    /// Batches of requests between the thread that read them and the end of their commands.
    RequestsInTransit,
    /// The bytes by which this turn's answers have made client output buffers grow.
    TurnAnswers,
    /// The bytes that a thread that saves gathers before it writes.
    SaveBuffer,
    /// Clients, each as it was weighed last, while there is a `maxmemory-clients`. (INFO and MEMORY
    /// STATS weigh all of them when they are asked: `mem_clients_normal`.)
    Clients,
}

/// The ways in which `maxmemory` counts an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It counts as data does.
    Counted,
    /// It does not count: to evict keys would add to it. Source: `mem_not_counted_for_evict`.
    NotCountedForEvict,
    /// It does not count: it will be free soon, and no sooner if keys are evicted.
    AsGoodAsFree,
    /// It does not count up to [`MAX_PASSING_BYTES`], with all others that only pass: it may be
    /// much larger at times than a small data set.
    Passing,
}

impl Account {
    /// All accounts, in order.
    pub const ALL: [Account; 9] = [
        Account::AofBuffer,
        Account::LazyFree,
        Account::WalkCopies,
        Account::HeldEvicted,
        Account::EvictionNotices,
        Account::RequestsInTransit,
        Account::TurnAnswers,
        Account::SaveBuffer,
        Account::Clients,
    ];

    /// Returns how `maxmemory` counts it; the comments say why.
    #[must_use]
    pub const fn counting(self) -> Counting {
        match self {
            // Each key that is evicted is propagated.
            Account::AofBuffer => Counting::NotCountedForEvict,
            Account::LazyFree => Counting::AsGoodAsFree,
            // Writers make more of them the more is evicted; the reader passes them soon.
            Account::WalkCopies | Account::HeldEvicted => Counting::AsGoodAsFree,
            // Making room for them would make more of them.
            Account::EvictionNotices => Counting::AsGoodAsFree,
            Account::RequestsInTransit | Account::TurnAnswers | Account::SaveBuffer => Counting::Passing,
            // Answers that nobody reads stay: keys, or clients, must make room.
            Account::Clients => Counting::Counted,
        }
    }
}

/// The figures of accounts that nobody charges, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Of [`Account::AofBuffer`].
    pub aof_buffer: u64,
    /// Of [`Account::WalkCopies`].
    pub walk_copies: u64,
}

/// The sums that are charged to each account.
#[derive(Debug, Default)]
pub struct Ledger {
    sums: [Sum; Account::ALL.len()],
    lazyfree_objects: Sum,
}

impl Ledger {
    /// A new one, for as long as the process lives.
    #[must_use]
    pub fn open() -> &'static Ledger {
        Box::leak(Box::default())
    }

    /// Charges `bytes` to `account`.
    pub fn charge(&'static self, account: Account, bytes: u64) -> Charge {
        debug_assert!(
            !matches!(account, Account::AofBuffer | Account::WalkCopies),
            "{account:?} is measured"
        );
        Charge::on(&self.sums[account as usize], bytes)
    }

    /// Charges values that wait to be freed, by their number.
    pub(super) fn charge_lazyfree_objects(&'static self, objects: u64) -> Charge {
        Charge::on(&self.lazyfree_objects, objects)
    }

    /// The number of values that wait to be freed. Source: `lazyfree_pending_objects`.
    #[must_use]
    pub fn lazyfree_objects(&self) -> u64 {
        self.lazyfree_objects.get()
    }

    /// Returns the bytes that are charged to `account`.
    #[must_use]
    pub fn charged_bytes(&self, account: Account) -> u64 {
        self.sums[account as usize].get()
    }

    /// All accounts at this moment.
    #[must_use]
    pub fn balance(&self, measured: Measured) -> Balance {
        Balance(Account::ALL.map(|account| match account {
            Account::AofBuffer => measured.aof_buffer,
            Account::WalkCopies => measured.walk_copies,
            _ => self.charged_bytes(account),
        }))
    }
}

/// The bytes on each account at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Balance([u64; Account::ALL.len()]);

impl Balance {
    /// Returns the bytes on `account`.
    #[must_use]
    pub fn bytes(&self, account: Account) -> u64 {
        self.0[account as usize]
    }

    /// Returns the bytes on all accounts of this kind together.
    #[must_use]
    pub fn sum(&self, counting: Counting) -> u64 {
        Account::ALL
            .iter()
            .filter(|account| account.counting() == counting)
            .map(|&account| self.bytes(account))
            .sum()
    }

    /// Returns the bytes that `maxmemory` does not count.
    #[must_use]
    pub fn uncounted_bytes(&self) -> u64 {
        self.sum(Counting::NotCountedForEvict)
            + self.sum(Counting::AsGoodAsFree)
            + self.sum(Counting::Passing).min(MAX_PASSING_BYTES)
    }
}

/// So much on an account, until it is dropped.
#[derive(Debug)]
#[must_use = "what is charged is taken back at once"]
pub struct Charge {
    sum: &'static Sum,
    amount: u64,
}

impl Charge {
    fn on(sum: &'static Sum, amount: u64) -> Self {
        let mut charge = Charge { sum, amount: 0 };
        charge.resize(amount);
        charge
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Makes it so much.
    pub fn resize(&mut self, amount: u64) {
        if amount != self.amount {
            self.sum.add(amount.cast_signed() - self.amount.cast_signed());
            self.amount = amount;
        }
    }

    /// Makes it so much more.
    pub fn grow(&mut self, more: u64) {
        self.resize(self.amount + more);
    }

    /// Passes all of it on; nothing is left.
    pub fn take(&mut self) -> Charge {
        Charge { sum: self.sum, amount: std::mem::take(&mut self.amount) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const CHARGED: [Account; 7] = [
        Account::LazyFree,
        Account::HeldEvicted,
        Account::EvictionNotices,
        Account::RequestsInTransit,
        Account::TurnAnswers,
        Account::SaveBuffer,
        Account::Clients,
    ];

    #[test]
    fn accounts_stand_where_their_number_says() {
        Account::ALL.iter().enumerate().for_each(|(index, &account)| assert_eq!(account as usize, index));
    }

    #[test]
    fn a_charge_undoes_itself_on_whatever_thread_it_is_dropped() {
        let ledger = Ledger::open();
        for account in CHARGED {
            let charges: Vec<_> = (1..=20).map(|bytes| ledger.charge(account, bytes)).collect();
            assert_eq!(ledger.charged_bytes(account), 210);
            let threads = charges.into_iter().map(|charge| {
                thread::spawn(move || match charge.amount() % 2 {
                    0 => drop(charge),
                    // A thread that dies in its work owes nothing either.
                    _ => std::panic::resume_unwind(Box::new(charge)),
                })
            });
            let ends: Vec<_> = threads.collect();
            let died = ends.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count();
            assert_eq!(died, 10);
            assert_eq!(ledger.charged_bytes(account), 0, "{account:?}");
        }
    }

    #[test]
    fn a_charge_grows_shrinks_and_is_passed_on() {
        let ledger = Ledger::open();
        let on_account = || ledger.charged_bytes(Account::RequestsInTransit);
        let mut charge = ledger.charge(Account::RequestsInTransit, 100);
        charge.grow(50);
        assert_eq!((charge.amount(), on_account()), (150, 150));
        let passed = charge.take();
        assert_eq!((charge.amount(), passed.amount(), on_account()), (0, 150, 150));
        charge.resize(7);
        drop(passed);
        assert_eq!(on_account(), 7);
        charge.resize(3);
        assert_eq!(on_account(), 3);
        drop(charge);
        assert_eq!(on_account(), 0);
    }

    #[test]
    fn maxmemory_counts_clients_and_what_passes_beyond_its_limit() {
        let ledger = Ledger::open();
        let measured = Measured { aof_buffer: 1, walk_copies: 10 };
        let charge = |account, bytes| ledger.charge(account, bytes);
        let _lasting = [
            charge(Account::LazyFree, 100),
            charge(Account::HeldEvicted, 1000),
            charge(Account::EvictionNotices, 10_000),
            charge(Account::Clients, 1 << 40),
        ];
        let balance = ledger.balance(measured);
        assert_eq!(balance.uncounted_bytes(), 11_111);
        assert_eq!(balance.sum(Counting::NotCountedForEvict), balance.bytes(Account::AofBuffer));
        let _passing =
            [Account::RequestsInTransit, Account::TurnAnswers].map(|account| charge(account, 7 << 20));
        assert_eq!(ledger.balance(measured).uncounted_bytes(), 11_111 + (14 << 20));
        let _more = charge(Account::SaveBuffer, 7 << 20);
        assert_eq!(ledger.balance(measured).uncounted_bytes(), 11_111 + MAX_PASSING_BYTES);
    }
}
