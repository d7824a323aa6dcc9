//! The order of writing, forcing to disk, listing and renaming: the steps that may overtake others.

use super::disk::Disk;
use super::faults::POLICIES;
use super::world::World;
use crate::base::ClientId;
use crate::config::Appendfsync;
use crate::persistence::AofOrder;
use std::sync::Arc;

#[test]
fn with_everysec_and_no_writes_reach_the_file_while_others_are_forced_to_disk_listed_and_renamed() {
    for fsync in [Appendfsync::Everysec, Appendfsync::No] {
        let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
        let mut world = World::new(true, fsync, disk, "");
        world.pump();
        let mut element = 0;
        let mut chores = 0;
        // Each step of two rewrites, and syncs between them, is as far as it gets: the disk does no
        // more for it.
        for _ in 0..16 {
            element += 1;
            world.push(element);
            if element % 8 == 1 {
                world.order("BGREWRITEAOF");
            }
            world.clock.0.set(world.clock.0.get() + 1_100_000_000);
            world.pump();
            assert_eq!(world.waiting, [], "{fsync:?}: {element} waits for something else");
            assert_eq!(world.acknowledged.last(), Some(&element));
            let image = world.disk.borrow().after_kill();
            world.check(&image, &format!("{fsync:?}, {element}"));
            chores += u32::from(world.keep_house());
        }
        assert!(chores >= 6, "{fsync:?}: {chores}");
    }
}

#[test]
fn what_is_to_be_told_when_everything_before_is_done_waits_for_the_housekeeper() {
    for (order, told) in [
        (AofOrder::Flush, "Flushed"),
        (AofOrder::Reload, "MayReload"),
        (AofOrder::Pass(ClientId(1)), "Passed"),
    ] {
        let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
        let mut world = World::new(true, Appendfsync::Everysec, disk, "");
        world.pump();
        let number = 0;
        world.writer.take(AofOrder::Prepare { number, file: Some(b"new".to_vec()), manifest: None });
        world.writer.take(order);
        world.writer.take(AofOrder::Append { bytes: Arc::new(b"*1\r\n$4\r\nPING\r\n".to_vec()), end: 14 });
        world.writer.commit();
        assert!(world.reports.borrow().is_empty(), "{told}: {:?}", world.reports.borrow());
        assert!((0..100).any(|_| !world.keep_house()), "{told}: the chores do not end");
        let shown = format!("{:?}", world.reports.borrow());
        let (prepared, last) = (shown.find("Prepared"), shown.find(told));
        assert!(prepared.is_some() && prepared < last, "{told}: {shown}");
        assert_eq!(world.writer.log.written_to(), 14, "{told}");
    }
}

/// A server that keeps its file with `always`, behind a hole of the time before.
fn behind_hole() -> World {
    let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
    let mut world = World::new(true, Appendfsync::Everysec, disk, "");
    world.push(1);
    pass_second(&mut world);
    let next = world.disk.borrow().operations;
    world.disk.borrow_mut().fails_at = next;
    assert!(world.keep_house() && world.disk.borrow().has_dropped, "the sync fails");
    assert_eq!(world.order("CONFIG SET appendfsync always"), "OK");
    world.push(2);
    pass_second(&mut world);
    assert_eq!(world.server.server.rooms.persistence.aof.error, None, "the disk works again");
    world
}

/// Lets a second pass for the file's thread.
fn pass_second(world: &mut World) {
    world.clock.0.set(world.clock.0.get() + 1_100_000_000);
    world.pump();
}

#[test]
fn with_always_who_writes_behind_a_hole_is_answered_when_the_rewrite_is_installed() {
    let mut world = behind_hole();
    for element in 3..=5 {
        world.push(element);
        pass_second(&mut world);
        assert_eq!(world.acknowledged, [1], "{element}");
    }
    world.mend("");
    assert_eq!((world.acknowledged.len(), &world.waiting[..]), (5, &[][..]));
    world.check(&world.disk.borrow().after_kill(), "");
    world.check(&world.disk.borrow().after_power_cut(), "");
}

#[test]
fn a_file_that_is_closed_with_a_hole_leaves_writes_behind_it_without_an_answer() {
    let mut world = behind_hole();
    assert_eq!(world.order("CONFIG SET appendonly no"), "OK");
    world.pump();
    assert_eq!((&world.acknowledged[..], &world.waiting[..]), (&[1][..], &[][..]));
    assert!(!world.server.server.rooms.persistence.aof.rewrites.must_succeed(), "no file, no hole");
}

#[test]
fn a_file_with_a_hole_is_not_read_back() {
    let mut world = behind_hole();
    world.writer.take(AofOrder::Reload);
    let shown = format!("{:?}", world.reports.borrow());
    assert!(shown.contains("MayReload(Err("), "{shown}");
}

#[test]
fn a_base_behind_which_nothing_is_written_is_not_installed() {
    let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
    let mut world = World::new(true, Appendfsync::Everysec, disk, "");
    assert_eq!(world.order("CONFIG SET appendfsync always"), "OK");
    world.pump();
    world.order("BGREWRITEAOF");
    world.pump();
    assert!(world.keep_house(), "the file for changes is made");
    let next = world.disk.borrow().operations;
    (world.disk.borrow_mut().fails_at, world.disk.borrow_mut().stays_broken) = (next, true);
    world.writer.take(AofOrder::Append { bytes: Arc::new(b"*1\r\n$4\r\nPING\r\n".to_vec()), end: 14 });
    world.writer.take(AofOrder::Switch(1));
    world.disk.borrow_mut().fails_at = u32::MAX;
    let base = ("temp".to_owned(), b"base".to_vec());
    let (incr, manifest, remove) = (None, Vec::new(), Vec::new());
    world.writer.take(AofOrder::Install { base, incr, manifest, remove });
    let shown = format!("{:?}", world.reports.borrow());
    assert!(shown.contains("Installed(Err("), "{shown}");
}

/// A power cut never leaves something of a file whose predecessor lacks its end, so far as that is
/// for the server to say.
#[test]
fn a_file_is_forced_to_disk_behind_the_one_before_it_and_with_always_written_behind_it() {
    for fsync in POLICIES {
        let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
        let mut world = World::new(true, fsync, disk, "");
        let file = |world: &World, name: &str| world.disk.borrow().names.get(name.as_bytes()).cloned();
        let old = file(&world, "appendonly.aof.1.incr.aof").unwrap();
        let mut new = None;
        let (mut written, mut on_disk) = (0, 0);
        for step in 0..24 {
            world.push(step);
            if step == 2 {
                world.order("BGREWRITEAOF");
            }
            world.clock.0.set(world.clock.0.get() + 1_100_000_000);
            world.pump();
            new = new.or_else(|| file(&world, "appendonly.aof.2.incr.aof"));
            let Some(new) = &new else {
                world.keep_house();
                continue;
            };
            let is_whole = old.borrow().on_disk == old.borrow().bytes;
            let new = new.borrow();
            assert!(is_whole || new.on_disk.is_empty(), "{fsync:?}, {step}: on disk before the old file");
            assert!(
                is_whole || new.bytes.is_empty() || fsync != Appendfsync::Always,
                "{fsync:?}, {step}: acknowledged before the old file"
            );
            (written, on_disk) = (new.bytes.len(), new.on_disk.len());
            drop(new);
            world.keep_house();
        }
        assert_eq!(old.borrow().on_disk, old.borrow().bytes, "{fsync:?}");
        assert!(written > 0 && (on_disk > 0 || fsync == Appendfsync::No), "{fsync:?}: {written}, {on_disk}");
    }
}
