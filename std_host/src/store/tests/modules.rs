use super::*;

fn module(hash: u8, text: &str) -> StoredModule {
    StoredModule {
        hash: [hash; 32],
        manifest: format!(r#"{{"id":"{text}"}}"#),
        module: text.as_bytes().to_vec(),
        config: "null".to_owned(),
        added_at: 5,
        package: None,
        brought: false,
    }
}

#[test]
fn a_module_stays_while_somebody_refers_to_it() {
    let folder = folder();
    let store = open(&folder);
    let put = |module: &StoredModule| {
        let module = module.clone();
        wait(&store, |done| store.put_module(module, done)).expect("there is room")
    };
    let get = |hash: u8| store.reader().module(&[hash; 32]).expect("it can be read");
    assert!(put(&module(7, "of a job")) && put(&module(8, "installed")) && put(&module(9, "unused")));
    assert!(!put(&module(7, "again")), "it is there already");
    assert_eq!(get(7), Some(module(7, "of a job")));
    let job = dispatch(&store, 1, JobState::Completed);
    let prune = || wait(&store, |done| store.prune_modules(&[[8; 32]], done)).expect("it can be written");
    assert_eq!(prune(), 1);
    assert_eq!((get(7).is_some(), get(8).is_some(), get(9)), (true, true, None));
    wait(&store, |done| store.remove(job, done)).expect("it is removed");
    assert_eq!(prune(), 1);
    assert_eq!((get(7), get(8).is_some()), (None, true));
}

#[test]
fn the_newest_package_of_a_module_is_kept_and_goes_with_it() {
    let folder = folder();
    let store = open(&folder);
    let put = |package: Option<&[u8]>| {
        let module = StoredModule { package: package.map(<[u8]>::to_vec), ..module(7, "a module") };
        wait(&store, |done| store.put_module(module, done)).expect("there is room")
    };
    let package = || store.reader().module(&[7; 32]).expect("it can be read").and_then(|found| found.package);
    assert!(put(None));
    assert_eq!(package(), None);
    for (given, kept) in [(Some(&b"one"[..]), b"one"), (None, b"one"), (Some(b"two"), b"two")] {
        assert!(!put(given), "the module is there already");
        assert_eq!(package().as_deref(), Some(&kept[..]));
    }
    let prune = || wait(&store, |done| store.prune_modules(&[], done)).expect("it can be written");
    assert_eq!(prune(), 1);
    assert!(put(None), "with its module it is gone");
    assert_eq!(package(), None);
}
