//! What may overtake what: writing, forcing to disk, listing and renaming.

use super::disk::Disk;
use super::world::World;
use crate::config::Appendfsync;
use crate::server::{AofOrder, ClientId};

#[test]
fn with_everysec_and_no_writes_reach_the_file_while_others_are_forced_to_disk_listed_and_renamed() {
    for fsync in [Appendfsync::Everysec, Appendfsync::No] {
        let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
        let mut world = World::new(true, fsync, disk);
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
        let mut world = World::new(true, Appendfsync::Everysec, disk);
        world.pump();
        let number = 0;
        world.writer.take(AofOrder::Prepare { number, file: Some(b"new".to_vec()), manifest: None });
        world.writer.take(order);
        world.writer.take(AofOrder::Append { bytes: b"*1\r\n$4\r\nPING\r\n".to_vec(), end: 14 });
        world.writer.commit();
        assert!(world.reports.borrow().is_empty(), "{told}: {:?}", world.reports.borrow());
        while world.keep_house() {}
        let shown = format!("{:?}", world.reports.borrow());
        let (prepared, last) = (shown.find("Prepared"), shown.find(told));
        assert!(prepared.is_some() && prepared < last, "{told}: {shown}");
        assert_eq!(world.writer.log.written_to(), 14, "{told}");
    }
}
