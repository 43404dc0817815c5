use lentil::{Document, Id, StoredFile};

/// A finished app in the gallery.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("apps")]
#[unique(by_slug(slug))]
#[index(by_createdAt(created_at))]
#[index(by_username(username))]
#[index(by_template(template))]
// For the cron that deletes screenshots without an app.
#[index(by_screenshotId(screenshot_id))]
pub struct App {
    /// The app's name in URLs: letters a–z, digits and single dashes.
    pub slug: String,
    /// The app's display name.
    pub app_name: String,
    /// A description for people.
    pub description: String,
    /// The URL where the app runs.
    pub vercel_url: String,
    /// The URL of the source code.
    pub github_url: String,
    /// The user who asked for the app.
    pub username: String,
    /// 'react', 'convex' or 'threejs', by convention.
    pub template: String,
    /// A screenshot, as a PNG.
    pub screenshot_id: Option<Id<StoredFile>>,
    /// Unix timestamp in milliseconds.
    pub created_at: f64,
}
