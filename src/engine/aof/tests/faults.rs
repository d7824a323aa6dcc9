//! Every operation of the disk fails once, or from one on until the disk is mended.

use super::disk::Disk;
use super::world::{World, loaded};
use crate::config::Appendfsync;
use crate::server::AofState;

pub(super) const POLICIES: [Appendfsync; 3] = [Appendfsync::Always, Appendfsync::Everysec, Appendfsync::No];

/// No scenario needs as many operations of the disk.
const MANY: u32 = 10_000;

/// Runs `scenario` with a disk that fails at each operation in turn, until a run needs fewer
/// operations: it says whether it came to the one that fails.
fn at_every_operation(scenario: impl Fn(Disk, Appendfsync, &str) -> bool) {
    for fsync in POLICIES {
        for (stays_broken, torn, is_late) in [
            (false, 0, false),
            (false, 5, false),
            (true, 0, false),
            (true, 5, false),
            (false, 5, true),
            (true, 5, true),
        ] {
            let operations = (0..MANY).find(|&fails_at| {
                let context = format!(
                    "{fsync:?}, fails at {fails_at}, for good: {stays_broken}, torn: {torn}, late: {is_late}"
                );
                let disk = Disk { fails_at, stays_broken, torn, is_late, ..Disk::default() };
                !scenario(disk, fsync, &context)
            });
            assert!(operations.is_some_and(|count| count > 20), "{operations:?} operations");
        }
    }
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_nobody_hangs_and_it_heals() {
    at_every_operation(|disk, fsync, context| {
        let mut world = World::new(true, fsync, disk, context);
        for element in 1..=10 {
            world.push(element);
            if element == 4 {
                world.order("BGREWRITEAOF");
            }
            world.pass(260);
            let (after_kill, after_power_cut) =
                (world.disk.borrow().after_kill(), world.disk.borrow().after_power_cut());
            if fsync == Appendfsync::Always {
                world.check(&after_power_cut, context);
            } else if !world.is_in_doubt() {
                world.check(&after_kill, context);
                world.check_beginning(&after_power_cut, context);
            }
        }
        let has_failed = world.mend(context);
        world.push(11);
        world.pass(1100);
        assert!(world.acknowledged.contains(&11), "{context}: it takes writes again");
        let image = world.disk.borrow().after_kill();
        let live = world.live();
        assert_eq!(loaded(&image, context).0, live, "{context}");
        assert_eq!(world.order("BGREWRITEAOF"), "", "{context}: its files are to be made first");
        world.pass(1100);
        assert!(world.server.output_of(world.clients).contains("started"), "{context}");
        let image = world.disk.borrow().after_power_cut();
        assert_eq!(loaded(&image, context).0, live, "{context}");
        assert!(world.server.run("INFO persistence").contains("aof_last_bgrewrite_status:ok"), "{context}");
        has_failed
    });
}

#[test]
fn the_policy_may_change_while_it_fails() {
    at_every_operation(|disk, fsync, context| {
        let mut world = World::new(true, fsync, disk, context);
        for element in 1..=12 {
            world.push(element);
            let policy = ["always", "no", "everysec"][element as usize % 3];
            assert_eq!(world.order(&format!("CONFIG SET appendfsync {policy}")), "OK");
            world.pass(300);
            if !world.is_in_doubt() {
                let image = world.disk.borrow().after_kill();
                world.check(&image, context);
            }
        }
        let has_failed = world.mend(context);
        world.push(13);
        world.pass(1100);
        assert!(world.acknowledged.contains(&13), "{context}: it takes writes again");
        let image = world.disk.borrow().after_kill();
        assert_eq!(loaded(&image, context).0, world.live(), "{context}");
        has_failed
    });
}

#[test]
fn it_may_be_turned_on_and_off_while_the_disk_fails() {
    at_every_operation(|disk, fsync, context| {
        let mut world = World::new(false, fsync, disk, context);
        for element in 1..=9 {
            world.push(element);
            if element % 3 == 1 {
                let wanted = if element == 4 { "no" } else { "yes" };
                world.order(&format!("CONFIG SET appendonly {wanted}"));
            }
            world.pass(260);
        }
        let has_failed = world.mend(context);
        if !world.server.server.rooms.config.appendonly {
            assert_eq!(world.order("CONFIG SET appendonly yes"), "", "{context}");
        }
        // Rewrites that keep failing are tried again after minutes.
        world.pass(61_000);
        world.pass(121_000);
        world.push(10);
        world.pass(1100);
        assert!(world.acknowledged.contains(&10), "{context}: it takes writes");
        assert_eq!(world.server.server.rooms.persistence.aof.state, AofState::On, "{context}");
        let image = world.disk.borrow().after_power_cut();
        let live = world.live();
        if fsync != Appendfsync::No {
            assert_eq!(loaded(&image, context).0, live, "{context}");
        }
        let image = world.disk.borrow().after_kill();
        assert_eq!(loaded(&image, context).0, live, "{context}");
        has_failed
    });
}
