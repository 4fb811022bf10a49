//! A page: decoded, and read through a head that names it.

use futures::TryStreamExt;
use headwater::{
    StoreError, Version,
    format::{head::Head, key, page::Page},
    memory::World,
    read::Reader,
};
use serde_json::json;

use crate::world::{is_whole, run};

pub(crate) fn holds(document: &[u8]) {
    let Ok(page) = Page::decode(document) else { return };
    let written = page.encode().expect("what was read can be written");
    assert_eq!(Page::decode(&written).as_ref(), Ok(&page), "it comes back as it was");
    is_whole(&page.commits, page.first);
    run(is_read(&page, document));
}

/// A head that says where the page begins, and is right or wrong about where it ends.
async fn is_read(page: &Page, document: &[u8]) {
    let world = World::new(1);
    let reader = Reader::new(&world.ports());
    world.objects.insert(&key::page(&page.stream, page.first), document.to_vec());
    for last in [page.last, page.last.next(), Version::new(page.last.get().saturating_sub(1))] {
        let before = page.first.get().saturating_sub(1);
        let older = (before > 0).then(|| json!({"first": 1, "last": before}));
        let pages: Vec<_> = older.into_iter().chain([json!({"first": page.first, "last": last})]).collect();
        let next = last.next();
        let head = json!({
            "format": 1, "stream": page.stream, "version": next, "write": "w", "newest_write": next, "fence": 0,
            "pages": pages, "snapshot": null,
            "commits": [{
                "id": "c", "first": next, "last": next, "at": "2026-11-21T19:30:00Z",
                "events": [{"type": "Closed", "schema": 1, "data": null}],
            }],
        });
        let Ok(head) = Head::decode(head.to_string().as_bytes()) else { continue };
        let after = Version::new(before);
        let whole = reader.commits(&head, after).await;
        world.objects.insert(&key::head(&page.stream), head.encode().expect("encodes"));
        let streamed: Result<Vec<_>, StoreError> =
            reader.stream(page.stream.clone(), page.first).try_collect().await;
        assert_eq!(whole, streamed, "both ways to read agree");
        match whole {
            Ok(commits) => {
                is_whole(&commits, page.first);
                assert_eq!(last, page.last, "a head that is wrong about its page was believed");
            }
            Err(StoreError::Corrupt { .. }) => assert_ne!(last, page.last, "what is right was refused"),
            Err(error) => panic!("{error}"),
        }
    }
}
