//! Folders on a real disk.

use std::path::Path;

use tempfile::TempDir;

/// A folder that is removed when it is dropped, beside what cargo builds: temporary folders of the
/// system may be in memory, where nothing is ever written out.
pub fn folder() -> TempDir {
    let place = env!("CARGO_TARGET_TMPDIR");
    std::fs::create_dir_all(place).unwrap();
    TempDir::new_in(place).unwrap()
}

/// What kind of file system a path is on.
pub fn kind(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap();
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(place, _)| path.starts_with(place))
        .max_by_key(|(place, _)| place.len());
    kind.map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}
