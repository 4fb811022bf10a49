//! Loads: of a short stream and a long one, with a snapshot and without, and again.

use bank::Account;

use super::{
    super::Error,
    item::Item,
    world::{World, credited, lengthen, names, open},
};

/// Loads that are counted.
const LOADS: usize = 10;
/// Commits of the long stream.
const COMMITS: usize = 20;

pub(super) async fn count() -> Result<Vec<Item>, Error> {
    let world = World::new().await?;
    let store = world.process();
    let ids = names("a", 1);
    open(&store, &ids).await?;
    let (short, long) = (ids[0].as_str(), "long");
    lengthen(&store, long, COMMITS).await?;
    let head = world.count("loads", LOADS, cold(&world, short)).await?;
    let again = async {
        for _ in 0..LOADS {
            store.load::<Account>(short).await?;
        }
        Ok(())
    };
    let again = world.count("loads, the stream unchanged since the last", LOADS, again).await?;
    let without = world.count("loads of 10,000 events without a snapshot", LOADS, cold(&world, long)).await?;
    // A command writes a snapshot where a load would read pages.
    credited(&store, long).await?;
    let with = world.count("loads of 10,000 events with a snapshot", LOADS, cold(&world, long)).await?;
    Ok(vec![head, again, with, without])
}

/// Loads by processes that do not know the stream.
async fn cold(world: &World, id: &str) -> Result<(), Error> {
    for _ in 0..LOADS {
        world.process().load::<Account>(id).await?;
    }
    Ok(())
}
