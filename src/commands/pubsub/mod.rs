//! Publish and subscribe.
//!
//! [`crate::pubsub`] keeps who listens to what; `server/publish` delivers. Confirmations of
//! subscriptions are messages like the published ones, so they are sent even after CLIENT REPLY
//! OFF.

use super::help;
use crate::base::glob::{Budget, Case, glob_match};
use crate::pubsub::Topic;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Origin};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("psubscribe", Group::PubSub, -2, "(pattern) [pattern ...]")
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE, ALLOWED_WHILE_SUBSCRIBED])
            .channels(Channels::SubscribePatterns)
            .since("2.0.0")
            .complexity("O(N), N: patterns this client listens to.")
            .summary("Listens to all channels that match patterns."),
        psubscribe,
    ),
    Command::new(
        Spec::new("publish", Group::PubSub, 3, "channel message")
            .flags(&[PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE])
            .channels(Channels::Publish)
            .since("2.0.0")
            .complexity("O(N+M), N: clients on the channel, M: patterns of all clients.")
            .summary("Sends a message to a channel."),
        publish,
    ),
    Command::container(
        Spec::container("pubsub", Group::PubSub).since("2.8.0").summary("Channels and their subscribers."),
        PUBSUB_COMMANDS,
    ),
    Command::new(
        Spec::new("punsubscribe", Group::PubSub, -1, "[pattern [pattern ...]]")
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE, ALLOWED_WHILE_SUBSCRIBED])
            .channels(Channels::UnsubscribePatterns)
            .since("2.0.0")
            .complexity("O(N), N: patterns given.")
            .summary("Stops listening to patterns."),
        punsubscribe,
    ),
    Command::new(
        Spec::new("spublish", Group::PubSub, 3, "shardchannel message")
            .flags(&[PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE])
            .keys(&[KeySpec::one(1, &[NOT_KEY])])
            .channels(Channels::Publish)
            .since("7.0.0")
            .complexity("O(N), N: clients on the channel.")
            .summary("Sends a message to a shard channel."),
        spublish,
    ),
    Command::new(
        Spec::new("ssubscribe", Group::PubSub, -2, "shardchannel [shardchannel ...]")
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE, ALLOWED_WHILE_SUBSCRIBED])
            .keys(&[KeySpec::range(1, -1, 1, &[NOT_KEY])])
            .channels(Channels::Subscribe)
            .since("7.0.0")
            .complexity("O(N), N: channels given.")
            .summary("Listens to shard channels."),
        ssubscribe,
    ),
    Command::new(
        Spec::new("subscribe", Group::PubSub, -2, "channel [channel ...]")
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE, ALLOWED_WHILE_SUBSCRIBED])
            .channels(Channels::Subscribe)
            .since("2.0.0")
            .complexity("O(N), N: channels given.")
            .summary("Listens to channels."),
        subscribe,
    ),
    Command::new(
        Spec::new("sunsubscribe", Group::PubSub, -1, "[shardchannel [shardchannel ...]]")
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE, ALLOWED_WHILE_SUBSCRIBED])
            .keys(&[KeySpec::range(1, -1, 1, &[NOT_KEY])])
            .channels(Channels::Unsubscribe)
            .since("7.0.0")
            .complexity("O(N), N: channels given.")
            .summary("Stops listening to shard channels."),
        sunsubscribe,
    ),
    Command::new(
        Spec::new("unsubscribe", Group::PubSub, -1, "[channel [channel ...]]")
            .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE, ALLOWED_WHILE_SUBSCRIBED])
            .channels(Channels::Unsubscribe)
            .since("2.0.0")
            .complexity("O(N), N: channels given.")
            .summary("Stops listening to channels."),
        unsubscribe,
    ),
];

/// The subcommands of PUBSUB.
const PUBSUB_COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("pubsub|channels", Group::PubSub, -2, "[pattern]")
            .flags(&[PUBSUB, LOADING, STALE])
            .since("2.8.0")
            .complexity("O(N), N: channels.")
            .summary("Lists the channels that have subscribers."),
        pubsub_channels,
    ),
    Command::new(
        Spec::new("pubsub|help", Group::PubSub, 2, "")
            .flags(&[LOADING, STALE])
            .since("6.2.0")
            .summary("Describes the subcommands."),
        pubsub_help,
    ),
    Command::new(
        Spec::new("pubsub|numpat", Group::PubSub, 2, "")
            .flags(&[PUBSUB, LOADING, STALE])
            .since("2.8.0")
            .summary("Counts the patterns that clients listen to."),
        pubsub_numpat,
    ),
    Command::new(
        Spec::new("pubsub|numsub", Group::PubSub, -2, "[channel [channel ...]]")
            .flags(&[PUBSUB, LOADING, STALE])
            .since("2.8.0")
            .complexity("O(N), N: channels given.")
            .summary("Counts the subscribers of channels."),
        pubsub_numsub,
    ),
    Command::new(
        Spec::new("pubsub|shardchannels", Group::PubSub, -2, "[pattern]")
            .flags(&[PUBSUB, LOADING, STALE])
            .since("7.0.0")
            .complexity("O(N), N: shard channels.")
            .summary("Lists the shard channels that have subscribers."),
        pubsub_shardchannels,
    ),
    Command::new(
        Spec::new("pubsub|shardnumsub", Group::PubSub, -2, "[shardchannel [shardchannel ...]]")
            .flags(&[PUBSUB, LOADING, STALE])
            .since("7.0.0")
            .complexity("O(N), N: shard channels given.")
            .summary("Counts the subscribers of shard channels."),
        pubsub_shardnumsub,
    ),
];

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    if ctx.origin.denies_blocking() {
        return Err(CommandError::fixed("ERR SUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(ctx, Topic::Channel, "subscribe", args);
    Ok(())
}

fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    if ctx.origin.denies_blocking() {
        return Err(CommandError::fixed("ERR PSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(ctx, Topic::Pattern, "psubscribe", args);
    Ok(())
}

fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    // Redis: the older two are let through in a transaction, for those who have always done that.
    if ctx.origin.denies_blocking() || ctx.origin == Origin::Transaction {
        return Err(CommandError::fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(ctx, Topic::Shard, "ssubscribe", args);
    Ok(())
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    stop_listening(ctx, Topic::Channel, "unsubscribe", args);
    Ok(())
}

fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    stop_listening(ctx, Topic::Pattern, "punsubscribe", args);
    Ok(())
}

fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    stop_listening(ctx, Topic::Shard, "sunsubscribe", args);
    Ok(())
}

fn listen(ctx: &mut Ctx<'_>, topic: Topic, kind: &str, args: Args<'_>) {
    for name in args.rest() {
        ctx.subscribe(topic, name);
        confirm(ctx, topic, kind, Some(name));
    }
}

/// Without names it is everything; there is an answer even when that is nothing.
fn stop_listening(ctx: &mut Ctx<'_>, topic: Topic, kind: &str, args: Args<'_>) {
    if !args.is_done() {
        for name in args.rest() {
            ctx.unsubscribe(topic, name);
            confirm(ctx, topic, kind, Some(name));
        }
        return;
    }
    let names = ctx.subscriptions(topic);
    if names.is_empty() {
        confirm(ctx, topic, kind, None);
    }
    for name in names {
        ctx.unsubscribe(topic, &name);
        confirm(ctx, topic, kind, Some(&name));
    }
}

/// Tells the client what it has (un)subscribed, and how much it listens to now.
fn confirm(ctx: &mut Ctx<'_>, topic: Topic, kind: &str, name: Option<&[u8]>) {
    let count = ctx.session.subscribed.of(topic);
    ctx.push(|reply| {
        reply.push(3);
        reply.bulk(kind.as_bytes());
        reply.bulk_or_null(name);
        reply.count(count);
    });
}

fn publish(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if !ctx.has_read_subscribers(args.argv()) {
        return Ok(());
    }
    let (channel, message) = (args.key(), args.key());
    let reached = ctx.publish(channel, message);
    ctx.reply.count(reached);
    Ok(())
}

fn spublish(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if !ctx.has_read_subscribers(args.argv()) {
        return Ok(());
    }
    let (channel, message) = (args.key(), args.key());
    let reached = ctx.publish_shard(channel, message);
    ctx.reply.count(reached);
    Ok(())
}

fn pubsub_channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    list_names(ctx, Topic::Channel, args)
}

fn pubsub_shardchannels(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    list_names(ctx, Topic::Shard, args)
}

fn list_names(ctx: &mut Ctx<'_>, topic: Topic, mut args: Args<'_>) -> CommandResult {
    let pattern = if args.is_done() { None } else { Some(args.key()) };
    if !args.is_done() {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    let place = ctx.reply.deferred();
    let mut count = 0;
    let mut budget = Budget::COMMAND;
    for name in ctx.rooms.pubsub.names(topic) {
        if let Some(pattern) = pattern
            && !glob_match(pattern, name, Case::Sensitive, &mut budget)?
        {
            continue;
        }
        ctx.reply.bulk(name);
        count += 1;
    }
    ctx.reply.close_array(place, count);
    Ok(())
}

fn pubsub_numsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    count_listeners(ctx, Topic::Channel, args);
    Ok(())
}

fn pubsub_shardnumsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    count_listeners(ctx, Topic::Shard, args);
    Ok(())
}

/// Redis: names and numbers in turn, an array even in RESP3.
fn count_listeners(ctx: &mut Ctx<'_>, topic: Topic, args: Args<'_>) {
    ctx.reply.array(args.remaining() * 2);
    for name in args.rest() {
        ctx.reply.bulk(name);
        ctx.reply.count(ctx.rooms.pubsub.listeners_len(topic, name));
    }
}

fn pubsub_numpat(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.count(ctx.rooms.pubsub.names_len(Topic::Pattern));
    Ok(())
}

fn pubsub_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "PUBSUB", PUBSUB_COMMANDS);
    Ok(())
}

#[cfg(test)]
mod tests;
