use lentil::{Document, Nullable, Schema, UnixMillis, ValueType};
use lentil_testing::TestBackend;

#[derive(ValueType, Clone, Debug, PartialEq)]
struct Place {
    name: String,
}

#[derive(Document, Clone, Debug, PartialEq)]
#[table("events")]
#[index(by_place(place.name))]
#[index(by_origin(origin.name))]
#[index(by_at(at))]
struct Event {
    place: Option<Place>,
    origin: Nullable<Place>,
    at: UnixMillis,
}

fn event(place: Option<&str>, at: f64) -> Event {
    let place = place.map(|name| Place { name: name.into() });
    Event {
        place: place.clone(),
        origin: place.into(),
        at: UnixMillis::new(at),
    }
}

#[tokio::test]
async fn a_document_without_the_outer_object_is_indexed_as_without_the_field() {
    let t = TestBackend::new(Schema::new().table::<Event>());
    t.mutation(async |ctx| {
        ctx.db.insert(event(None, 1.0)).await?;
        ctx.db.insert(event(Some("hall"), 2.0)).await?;
        Ok(())
    })
    .await
    .unwrap();

    t.query(async |ctx| {
        for range in [Event::BY_PLACE.eq("hall"), Event::BY_ORIGIN.eq("hall")] {
            let found = ctx.db.query(range).unique().await?.unwrap();
            assert_eq!(found.at, UnixMillis::new(2.0));
        }
        for range in [Event::BY_PLACE.eq(None), Event::BY_ORIGIN.eq(None)] {
            let found = ctx.db.query(range).unique().await?.unwrap();
            assert_eq!(found.at, UnixMillis::new(1.0));
        }
        let ordered = ctx.db.query(Event::BY_PLACE).collect().await?;
        assert_eq!(ordered[0].place, None, "a missing field orders first");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_time_is_an_index_key() {
    let t = TestBackend::new(Schema::new().table::<Event>());
    t.mutation(async |ctx| {
        for at in [3.0, 1.0, 2.0] {
            ctx.db.insert(event(None, at)).await?;
        }
        Ok(())
    })
    .await
    .unwrap();

    t.query(async |ctx| {
        let later = Event::BY_AT.gt(UnixMillis::new(1.0));
        let found = ctx.db.query(later).collect().await?;
        assert_eq!(
            found
                .iter()
                .map(|event| event.at.as_f64())
                .collect::<Vec<_>>(),
            [2.0, 3.0]
        );
        Ok(())
    })
    .await
    .unwrap();
}
