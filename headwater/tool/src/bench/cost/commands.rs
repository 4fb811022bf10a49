//! Commands: known to the process and not, alone and many at once, with unique values.

use std::sync::atomic::{AtomicBool, Ordering};

use bank::{User, UserCommand, Username};
use futures::future::join_all;
use headwater::{Options, Store};
use localstack::{Fault, Gate, Request};

use super::{
    super::Error,
    item::Item,
    world::{World, credited, drained, lengthen, names, open},
};

/// Commands that are counted, one after another.
const COMMANDS: usize = 10;
/// Commands of a long stream, during which its head outgrows its limit once.
const LONG: usize = 50;
/// Commands at once on one stream.
const AT_ONCE: usize = 100;

pub(super) async fn count() -> Result<Vec<Item>, Error> {
    let mut items = known().await?;
    items.extend(unknown().await?);
    items.push(at_once().await?);
    items.extend(unique().await?);
    Ok(items)
}

/// Commands of a process that wrote the stream itself.
async fn known() -> Result<Vec<Item>, Error> {
    let world = World::new().await?;
    let store = world.process();
    let ids = names("a", COMMANDS);
    let first = world.count("commands, the first of their streams", COMMANDS, open(&store, &ids)).await?;
    let credits = async {
        for id in &ids {
            credited(&store, id).await?;
        }
        Ok(())
    };
    let warm = world.count("commands, warm", COMMANDS, credits).await?;
    lengthen(&store, "long", 2).await?;
    // It folds the state.
    credited(&store, "long").await?;
    let long = async {
        for _ in 0..LONG {
            credited(&store, "long").await?;
        }
        Ok(())
    };
    let long = world.count("commands, warm, on a long stream, whose head is full once", LONG, long).await?;
    Ok(vec![warm, long, first])
}

/// Commands of processes that did not.
async fn unknown() -> Result<Vec<Item>, Error> {
    let world = World::new().await?;
    let ids = names("a", COMMANDS);
    open(&world.process(), &ids).await?;
    let new_processes = async || -> Result<(), Error> {
        for id in &ids {
            credited(&world.start(), id).await?;
        }
        Ok(())
    };
    let what = "commands, each in a new process, right after another one's";
    let young = world.count(what, COMMANDS, new_processes()).await?;
    world.settle().await?;
    let old = world.count("commands, each in a new process", COMMANDS, new_processes()).await?;
    let process = world.process();
    // It learns the watermark.
    let (first, others) = ids.split_at(1);
    credited(&process, &first[0]).await?;
    let cold = async {
        for id in others {
            credited(&process, id).await?;
        }
        Ok(())
    };
    let cold = world.count("commands, cold", others.len(), cold).await?;
    Ok(vec![cold, old, young])
}

/// Commands that come to one stream while another is being written: all of them go into the next write.
async fn at_once() -> Result<Item, Error> {
    let world = World::new().await?;
    let store = world.process();
    let (gate, held) = (Gate::new(), AtomicBool::new(false));
    open(&store, &names("a", 1)).await?;
    let hold = gate.clone();
    world.aws.on_request(move |request: &Request| {
        let first = request.operation == "s3:PutObject" && !held.swap(true, Ordering::Relaxed);
        if first { Fault::HoldBefore(hold.clone()) } else { Fault::Pass }
    });
    let command = || credited(&store, "a-0000");
    let others = async {
        gate.reached().await;
        // All of them wait in the stream's lane before the gate opens.
        let others = join_all((1..AT_ONCE).map(|_| command()));
        let (others, ()) = tokio::join!(others, async { gate.release() });
        others.into_iter().collect::<Result<(), Error>>()
    };
    let all = async {
        let (first, others) = tokio::join!(command(), others);
        first.and(others)
    };
    world.count("commands, warm, 100 at once on one stream", AT_ONCE, all).await
}

/// Commands that gain and drop unique values.
async fn unique() -> Result<Vec<Item>, Error> {
    let world = World::new().await?;
    let store = world.process();
    let register = async {
        for id in names("u", COMMANDS) {
            let username: Username = format!("first-{id}").parse()?;
            user(&store, &id, UserCommand::Register { username }).await?;
        }
        drained(&store).await
    };
    let register =
        world.count("commands that claim a unique value, as a first one", COMMANDS, register).await?;
    let rename = async {
        for id in names("u", COMMANDS) {
            let username: Username = format!("other-{id}").parse()?;
            user(&store, &id, UserCommand::Rename { username }).await?;
        }
        drained(&store).await
    };
    let rename = world.count("commands, warm, that change a unique value", COMMANDS, rename).await?;
    Ok(vec![register, rename])
}

async fn user(store: &Store, id: &str, command: UserCommand) -> Result<(), Error> {
    store.execute::<User>(id, command, Options::default()).await?;
    Ok(())
}
