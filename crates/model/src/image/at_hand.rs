//! The root file systems that can be launched now. They are looked up at each use, so that what
//! is built, pulled or removed while a cloud is up counts at once.

use super::Built;
use std::sync::Arc;

type Look = dyn Fn() -> Arc<[Built]> + Send + Sync;

#[derive(Clone)]
pub struct AtHand(Arc<Look>);

impl AtHand {
    pub fn new(look: impl Fn() -> Arc<[Built]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    pub fn get(&self) -> Arc<[Built]> {
        (self.0)()
    }
}

/// Those, whatever happens: of a machine in memory.
impl<const N: usize> From<[&str; N]> for AtHand {
    fn from(recipes: [&str; N]) -> Self {
        let built: Arc<[Built]> = recipes.map(Built::from).into();
        Self::new(move || built.clone())
    }
}
