//! LATENCY: what took long, and how long commands take.

use crate::base::text::lossless;
use crate::commands::help as help_texts;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;
use crate::stats::{diagnosis, graph};

/// LATENCY.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("latency", Group::Server).since("2.8.13").summary("What took long, and when."),
    SUBCOMMANDS,
)];

/// The tips of all that report.
const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("latency|doctor", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.8.13")
            .summary("Explains the latency spikes in words.")
            .tips(TIPS),
        doctor,
    ),
    Command::new(
        Spec::new("latency|graph", Group::Server, 3, "event")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.8.13")
            .summary("Draws the latency spikes of an event.")
            .tips(TIPS),
        draw,
    ),
    Command::new(
        Spec::new("latency|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .since("2.8.13")
            .summary("Describes the subcommands."),
        help,
    ),
    Command::new(
        Spec::new("latency|histogram", Group::Server, -2, "[command [command ...]]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("7.0.0")
            .complexity("O(N), N: commands with times.")
            .summary("Tells how long commands take, as cumulative distributions.")
            .tips(TIPS),
        histogram,
    ),
    Command::new(
        Spec::new("latency|history", Group::Server, 3, "event")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.8.13")
            .summary("Lists the latency spikes of an event.")
            .tips(TIPS),
        history,
    ),
    Command::new(
        Spec::new("latency|latest", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.8.13")
            .summary("Lists the latest latency spike of every event.")
            .tips(TIPS),
        latest,
    ),
    Command::new(
        Spec::new("latency|reset", Group::Server, -2, "[event [event ...]]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.8.13")
            .summary("Forgets latency spikes.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        reset,
    ),
];

/// The first step of a cumulative distribution, nanoseconds: Redis doubles from here.
const FIRST_STEP_NS: u64 = 1024;

fn doctor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let config = &ctx.rooms.config;
    let text =
        diagnosis(&ctx.rooms.stats.latency, config.latency_monitor_threshold, config.slowlog_log_slower_than);
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn draw(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let name = args.key();
    let shown = lossless(name);
    let Some(series) = ctx.rooms.stats.latency.event(name) else {
        return Err(CommandError::line(format!("ERR No samples available for event '{shown}'")));
    };
    let text = graph(&shown, series, ctx.now.secs());
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn history(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let Some(series) = ctx.rooms.stats.latency.event(args.key()) else {
        ctx.reply.array(0);
        return Ok(());
    };
    ctx.reply.array(series.samples().len());
    for sample in series.samples() {
        ctx.reply.array(2);
        ctx.reply.integer(sample.at_secs);
        ctx.reply.integer(sample.ms);
    }
    Ok(())
}

fn latest(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let events = ctx.rooms.stats.latency.events();
    ctx.reply.array(events.len());
    for (event, series) in events {
        ctx.reply.array(4);
        ctx.reply.bulk(event.as_bytes());
        let last = series.samples().back().expect("an event begins with a sample");
        [last.at_secs, last.ms, series.worst_ms()].iter().for_each(|&number| ctx.reply.integer(number));
    }
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let monitor = &mut ctx.rooms.stats.latency;
    let count = if args.is_done() {
        monitor.reset_all()
    } else {
        args.rest().filter(|name| monitor.reset(name)).count()
    };
    ctx.reply.count(count);
    Ok(())
}

fn histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let place = ctx.reply.deferred();
    let mut shown = 0;
    let commands = ctx.rooms.commands.all();
    for (index, command) in commands.iter().enumerate() {
        // A container stands for its subcommands.
        let own = command.spec.name.as_bytes();
        let container = own.split(|&byte| byte == b'|').next().unwrap_or(own);
        let wanted = |name: &[u8]| name.eq_ignore_ascii_case(own) || name.eq_ignore_ascii_case(container);
        let times = &ctx.rooms.stats.counters.histograms[index];
        if times.is_empty() || !(args.is_done() || args.rest().any(wanted)) {
            continue;
        }
        shown += 1;
        ctx.reply.bulk(own);
        ctx.reply.map(2);
        ctx.reply.bulk(b"calls");
        ctx.reply.integer(i64::try_from(times.total()).unwrap_or(i64::MAX));
        ctx.reply.bulk(b"histogram_usec");
        let steps = times.cumulative(FIRST_STEP_NS);
        ctx.reply.map(steps.len());
        for (ns, count) in steps {
            ctx.reply.integer(i64::try_from(ns / 1000).unwrap_or(i64::MAX));
            ctx.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    ctx.reply.close_map(place, shown);
    Ok(())
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help_texts::of_container(ctx, "LATENCY", SUBCOMMANDS);
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
    fn what_takes_longer_than_the_threshold_is_an_event() {
        let mut server = server();
        server.run("DEBUG SLEEP 1");
        assert_eq!(server.run("LATENCY LATEST"), "(empty array)", "the monitor is off");
        server.run("CONFIG SET latency-monitor-threshold 100");
        server.run("DEBUG SLEEP 0.3");
        server.advance(1100);
        server.run("DEBUG SLEEP 0.05");
        server.run("DEBUG SLEEP 0.2");
        server.check(&[
                (
                    "LATENCY HISTORY command",
                    "1) 1) (integer) 1700000001\n   2) (integer) 300\n2) 1) (integer) 1700000002\n   2) (integer) 200",
                ),
                (
                    "LATENCY LATEST",
                    "1) 1) \"command\"\n   2) (integer) 1700000002\n   3) (integer) 200\n   4) (integer) 300",
                ),
                ("LATENCY HISTORY nosuch", "(empty array)"),
                ("LATENCY GRAPH nosuch", "(error) ERR No samples available for event 'nosuch'"),
                ("LATENCY RESET nosuch command", "(integer) 1"),
                ("LATENCY RESET", "(integer) 0"),
            ],
        );
        assert!(server.run("LATENCY DOCTOR").contains("Nothing took longer"));
        server.run("DEBUG SLEEP 0.2");
        assert!(server.run("LATENCY GRAPH command").starts_with("\"command - high 200 ms, low 200 ms"));
        assert!(server.run("LATENCY HELP").contains("RESET [<event> ...]"));
    }

    #[test]
    fn histograms_are_of_commands_and_their_subcommands() {
        let mut server = server();
        server.run("CONFIG RESETSTAT");
        server.check(&[
                ("LATENCY HISTOGRAM nosuch", "(empty array)"),
                ("DEBUG SLEEP 0.6", "OK"),
                ("DEBUG SLEEP 0.011", "OK"),
                (
                    "LATENCY HISTOGRAM debug nosuch",
                    "1) \"debug\"\n2) 1) \"calls\"\n   2) (integer) 2\n   3) \"histogram_usec\"\n   \
                     4) 1) (integer) 16908\n      2) (integer) 1\n      3) (integer) 1073741\n      4) (integer) 2",
                ),
            ],
        );
        server.run("CLIENT ID");
        server.run("CLIENT GETNAME");
        let text = server.run("LATENCY HISTOGRAM client");
        assert!(text.contains("client|id") && text.contains("client|getname"), "{text}");
        let text = server.run("LATENCY HISTOGRAM client|id");
        assert!(text.contains("client|id") && !text.contains("client|getname"), "{text}");
        server.run("CONFIG SET latency-tracking no");
        server.run("CLIENT INFO");
        assert!(!server.run("LATENCY HISTOGRAM").contains("client|info"));
    }

    #[test]
    fn percentiles_are_shown_as_configured() {
        let mut server = server();
        server.run("DEBUG SLEEP 0.011");
        let line = "latency_percentiles_usec_debug:p50=11010.047,p99=11010.047,p99.9=11010.047";
        assert!(server.raw("INFO latencystats").contains(&format!("{line}\r\n")));
        server.run("CONFIG SET latency-tracking-info-percentiles \"0 50 100\"");
        let line = "latency_percentiles_usec_debug:p0=10944.512,p50=11010.047,p100=11010.047";
        assert!(server.raw("INFO latencystats").contains(&format!("{line}\r\n")));
        server.run("CONFIG SET latency-tracking no");
        assert!(!server.raw("INFO latencystats").contains("percentiles"));
    }
}
