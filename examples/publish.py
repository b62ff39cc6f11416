"""A dataset that others can check: bought, looked at, replaced where it was not good enough, split, and published with
its papers; then grown to a second version, whose difference is known file by file.

    pip install firsthandapi
    FIRSTHAND_API_KEY=fh_test_… python examples/publish.py

or, with no account, against `firsthandapi mock-server`, with the two variables that it prints. With a live key it
costs $10 at most. Run it again: it orders nothing twice, and decides nothing twice.
"""

from firsthandapi import Campaign, Dataset, FirstHandClient, FirstHandError


def campaign(files: int) -> Campaign:
    return Campaign(
        dest="signs-published",
        budget_cents=1_000,
        defaults={"accepted_formats": ["image/jpeg"], "price_per_file_cents": 10, "files_needed": files},
        jobs={
            "stop": {"description": "Photos of stop signs in daylight, the sign filling most of the frame"},
            "yield": {"description": "Photos of yield signs in daylight, the sign filling most of the frame"},
        },
    )


def collected(client: FirstHandClient, files: int) -> Dataset:
    """The files that are good enough, each looked at: what is excluded is bought again."""
    while True:
        dataset = client.campaigns.run(campaign(files))
        looked_at = {decision.file_id for decision in dataset.decisions}
        new = [record for record in dataset if record.file_id not in looked_at]
        # A person says `dataset.review(by="ana")`, and decides in a browser. Here a rule does.
        poor = [record for record in new if (record.ai_star_rating or 0) < 4]
        dataset.exclude(poor, reason="fewer than 4 stars", by="rule")
        dataset.accept([record for record in new if record not in poor], by="rule")
        print(f"{len(new)} files looked at, {len(poor)} excluded")
        if not poor:
            return dataset
        print(client.campaigns.plan(campaign(files)))


if __name__ == "__main__":
    try:
        with FirstHandClient() as client:
            first = collected(client, 4).write_lock()
            dataset = collected(client, 6)
    except FirstHandError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped. Run it again: it continues the same jobs.") from None
    second = dataset.write_lock()
    changes = Dataset.diff(first, second)
    print(f"version {first.number} became {second.number}: {len(changes.added)} files added")
    dataset.split(train=0.5, test=0.5).copy_to("signs-published-split")
    card = dataset.write_card(license="CC-BY-4.0", creator="Example Lab", data_use_cases="Recognizing signs")
    print(f"{card.croissant} describes it; only you can say: {', '.join(card.missing)}")
