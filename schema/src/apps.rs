use lentil::{Document, Id, StoredFile};

/// A finished app in the gallery.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("apps")]
#[index(by_slug(slug), unique)]
#[index(by_createdAt(created_at))]
#[index(by_username(username))]
#[index(by_template(template))]
#[index(by_screenshotId(screenshot_id))]
pub struct App {
    /// Names the app in URLs: letters a–z, digits and single dashes.
    pub slug: String,
    /// Its name, for people.
    pub app_name: String,
    /// What it does.
    pub description: String,
    /// Where it runs.
    pub vercel_url: String,
    /// Where its source is.
    pub github_url: String,
    /// Who asked for it.
    pub username: String,
    /// 'react', 'convex' or 'threejs', by convention.
    pub template: String,
    /// How it looks, as a PNG.
    pub screenshot_id: Option<Id<StoredFile>>,
    /// Unix timestamp in milliseconds.
    pub created_at: f64,
}
