//! Whose a stream is: the tool asks the store, and refuses what contradicts it.

use std::io::Write;

use clap::Parser;
use headwater::port::Keys;
use headwater_tool::{Need, Target, import};

use super::world::{World, line};

#[derive(Parser)]
struct Importing {
    #[command(flatten)]
    args: import::Args,
}

impl World {
    fn named(&self, store: &str, stream: Option<&str>, archive: Option<&str>) -> Target {
        let [stream, archive] = [stream, archive].map(|name| name.map(str::to_owned));
        Target { store: store.to_owned(), stream, archive, ..self.target() }
    }
}

/// Runs `headwater import` on one line; tells what it says.
async fn import_into(world: &World, store: &str, more: &[&str]) -> Result<(), String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", line("account/prod-1", 1)).unwrap();
    let path = file.path().to_str().unwrap();
    let line = ["headwater", path, "--endpoint", world.aws.endpoint(), "--store", store];
    let importing = Importing::parse_from(line.into_iter().chain(more.iter().copied()));
    import::run(importing.args).await.map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn an_import_into_a_bucket_that_is_no_store_is_refused_and_nothing_is_written() {
    let world = World::new().await;
    world.aws.create_bucket("other-bucket").unwrap();
    for more in
        [&[][..], &["--stream", "headwater"], &["--stream", "headwater", "--archive", "headwater-archive"]]
    {
        let refused = import_into(&world, "other-bucket", more).await.unwrap_err();
        assert!(refused.contains("other-bucket") && refused.contains("store.json"), "{refused}");
    }
    let other = world.named("other-bucket", Some("headwater"), Some("headwater-archive"));
    let taken = world.adopt(&other).await.unwrap_err().to_string();
    assert!(taken.contains("other-bucket") && taken.contains("headwater-store"), "{taken}");
    let connection = other.connect(&[Need::Store]).await.unwrap();
    let listing = connection.ports.objects.list(&Keys::under(""), None).await.unwrap();
    assert!(listing.objects.is_empty() && listing.next.is_none());
    assert_eq!(world.records().await, 0);
}

#[tokio::test]
async fn the_store_says_which_stream_and_archive_are_its_own() {
    let world = World::new().await;
    world.aws.create_stream("events", 1).await.unwrap();
    for bucket in ["bank", "bank-archive"] {
        world.aws.create_bucket(bucket).unwrap();
    }
    world.adopt(&world.named("bank", Some("events"), Some("bank-archive"))).await.unwrap();
    let found =
        world.named("bank", None, None).connect(&[Need::Writes, Need::Archive, Need::Stream]).await.unwrap();
    assert_eq!((found.names.stream.as_str(), found.names.archive.as_str()), ("events", "bank-archive"));
    import_into(&world, "bank", &[]).await.unwrap();
    assert_eq!(world.records().await, 0, "it is published to the store's own stream");
}

#[tokio::test]
async fn a_flag_that_contradicts_the_store_is_an_error_that_names_both() {
    let world = World::new().await;
    world.aws.create_stream("events", 1).await.unwrap();
    for (flag, other, own) in
        [("--stream", "events", "headwater"), ("--archive", "headwater-store", "headwater-archive")]
    {
        let refused = import_into(&world, "headwater-store", &[flag, other]).await.unwrap_err();
        assert!(refused.contains(other) && refused.contains(own) && refused.contains(flag), "{refused}");
    }
    assert_eq!(world.records().await, 0);
}

#[tokio::test]
async fn a_store_of_an_old_version_is_adopted_with_what_it_has() {
    let world = World::without_identity().await;
    world.import(&line("note/1", 0), super::world::PLAN).await.1.unwrap();
    let adopted = world.adopt(&world.target()).await.unwrap();
    assert!(adopted.adopted, "its records carry no id");
    assert_eq!(world.adopt(&world.target()).await.unwrap(), adopted, "once");
}
