use toehold_sdk::extension;

#[extension(name = "A", version = "1.0.0", jobs = [scan])]
struct NoId;

#[extension(id = "a", version = "1.0.0", jobs = [scan])]
struct NoName;

#[extension(id = "a", name = "A", jobs = [scan])]
struct NoVersion;

#[extension(id = "a", name = "A", version = "1.0.0")]
struct NoJobs;

#[extension(id = "a:b", name = "A", version = "1.0.0", jobs = [scan])]
struct BadId;

#[extension(id = "a", name = "A", version = 1.0, jobs = [scan])]
struct VersionIsNoText;

#[extension(id = "a", name = "A", version = "one", jobs = [scan])]
struct BadVersion;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = scan)]
struct JobsAreNoList;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = [])]
struct EmptyJobs;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = ["scan"])]
struct JobIsText;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = [scan, sort, scan])]
struct DuplicateJob;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = [scan], init = start())]
struct InitIsNoPath;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = [scan], author = "me")]
struct UnknownKey;

#[extension(id = "a", name = "A", version = "1.0.0", jobs = [scan])]
struct HasFields {
    _field: u32,
}

#[extension(id = "a", name = "A", version = "1.0.0", jobs = [scan])]
fn no_struct() {}

fn main() {}
