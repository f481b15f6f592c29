import { describe, expect, it } from "vitest";
import { adminCalls, diffFlags } from "../../../src/flags/as-code/flag-plan.ts";
import { pulledFiles } from "../../../src/flags/as-code/pulled-files.ts";
import type { RemoteFlag, RemoteProject } from "../../../src/flags/as-code/remote-project.ts";
import { wantedFlags } from "../../../src/flags/as-code/wanted-flag.ts";
import type { FlagFile, OperationFlag } from "../../../src/flags/flag-file.ts";
import type { RemoteStrategy } from "../../../src/flags/unleash/remote-flag.ts";

const about = { purpose: "p", owner: "files", removeBy: "2027-06-30", enabled: true };
const parent: FlagFile = { kind: "migration", name: "files", ...about };
const upload: OperationFlag = {
  kind: "operation",
  name: "files.upload",
  ...about,
  percentage: 0,
  shadowPercentage: 0,
  groupId: "files",
  stickiness: "routingKey",
  constraints: [],
};
const place = { project: "default", environment: "production" };
const nothing: RemoteProject = { flags: new Map(), tagTypes: [], hasDefaultStrategy: false };

/** Unleash as it is after a push of the files, then changed. */
function remoteOf(
  files: readonly FlagFile[],
  change: (flag: RemoteFlag) => RemoteFlag = (flag) => flag,
): RemoteProject {
  const flags = wantedFlags(files).map((flag): RemoteFlag => {
    const strategy: RemoteStrategy = {
      id: `id-${flag.name}`,
      name: "flexibleRollout",
      title: "changeover: made by flags push",
      disabled: false,
      parameters: {
        rollout: String(flag.percentage),
        stickiness: flag.stickiness,
        groupId: flag.groupId,
      },
      constraints: flag.constraints.map((each) => ({
        ...each,
        inverted: false,
        caseInsensitive: false,
      })),
      variants: [],
    };
    const { name, description, tags, links } = flag;
    const parents = flag.parent === null ? [] : [flag.parent];
    const environment = { enabled: flag.enabled, strategies: [strategy] };
    return change({ name, description, tags, links, parents, environment });
  });
  const named = new Map(flags.map((flag) => [flag.name, flag]));
  return { flags: named, tagTypes: ["owner", "remove-by"], hasDefaultStrategy: true };
}

const withStrategy = (
  flag: RemoteFlag,
  change: Partial<RemoteStrategy>,
  on = true,
): RemoteFlag => ({
  ...flag,
  environment: {
    enabled: on,
    strategies: flag.environment.strategies.map((each) => ({ ...each, ...change })),
  },
});

const onUpload =
  (change: (flag: RemoteFlag) => RemoteFlag) =>
  (flag: RemoteFlag): RemoteFlag =>
    flag.name === upload.name ? change(flag) : flag;

const whys = (remote: RemoteProject, percentages = false, files: FlagFile[] = [parent, upload]) =>
  adminCalls(files, remote, { ...place, percentages }).map(({ why }) => why);

describe("what a push does", () => {
  it("makes a missing flag safe before it switches it on", () => {
    expect(whys(nothing, false, [{ ...upload, percentage: 70 }])).toEqual([
      "tag type owner",
      "tag type remove-by",
      "default strategy of the project: 0 %",
      "create files.upload",
      "files.upload: owner",
      "files.upload: remove-by",
      "files.upload: strategy at 0 %",
      "files.upload: on",
      "create files.upload.shadow",
      "files.upload.shadow: owner",
      "files.upload.shadow: remove-by",
      "files.upload.shadow: strategy at 0 %",
      "files.upload.shadow: on",
    ]);
  });

  it("makes the kill switch before what depends on it", () => {
    const calls = whys(nothing);
    const at = (why: string): number => calls.indexOf(why);
    expect(at("files: on")).toBeGreaterThan(at("files: strategy at 100 %"));
    expect(at("files.upload: depends on files")).toBeGreaterThan(at("files: on"));
    expect(at("files.upload: on")).toBe(at("files.upload: strategy at 0 %") + 1);
  });

  it("is nothing when both are in step", () => {
    expect(whys(remoteOf([parent, upload]))).toEqual([]);
    expect(diffFlags([parent, upload], remoteOf([parent, upload]), place)).toEqual([]);
  });

  it("leaves the project's own default strategy alone", () => {
    const remote = { ...remoteOf([parent]), hasDefaultStrategy: true };
    expect(whys(remote).join("\n")).not.toContain("default strategy");
  });

  it.each<[string, (flag: RemoteFlag) => RemoteFlag, string, string]>([
    [
      "a purpose",
      (flag) => ({ ...flag, description: "old" }),
      "files.upload: description",
      "purpose",
    ],
    ["an owner", (flag) => ({ ...flag, tags: [] }), "files.upload: owner", "owner"],
    ["a parent", (flag) => ({ ...flag, parents: [] }), "files.upload: depends on files", "parent"],
    [
      "a strategy",
      (flag) => ({ ...flag, environment: { enabled: false, strategies: [] } }),
      "files.upload: strategy at 0 %",
      "strategy",
    ],
    [
      "a group, while nobody is on the candidate",
      (flag) =>
        withStrategy(flag, {
          parameters: { rollout: "0", stickiness: "routingKey", groupId: "x" },
        }),
      "files.upload: groupId",
      "groupId",
    ],
    [
      "constraints",
      (flag) =>
        withStrategy(flag, {
          constraints: [{ contextName: "a", operator: "IN", values: ["b"] }],
        }),
      "files.upload: constraints",
      "constraints",
    ],
  ])("brings %s in line", (_what, change, why, field) => {
    const remote = remoteOf([parent, upload], onUpload(change));
    expect(whys(remote)).toContain(why);
    const fields = diffFlags([parent, upload], remote, place).map((each) => each.field);
    expect(fields).toContain(field);
  });

  const at50 = { rollout: "50", stickiness: "routingKey", groupId: "files" };
  it.each<[string, (flag: RemoteFlag) => RemoteFlag, boolean, string[]]>([
    ["leaves a live percentage", (flag) => withStrategy(flag, { parameters: at50 }), false, []],
    [
      "sets a percentage when told",
      (flag) => withStrategy(flag, { parameters: at50 }),
      true,
      ["files.upload: 0 %"],
    ],
    ["leaves a flag that was switched off", (flag) => withStrategy(flag, {}, false), false, []],
    [
      "switches a flag on when told",
      (flag) => withStrategy(flag, {}, false),
      true,
      ["files.upload: on"],
    ],
    [
      "never undoes a rollback",
      (flag) => withStrategy(flag, { title: "changeover: rolled back by ana: x" }, false),
      true,
      [],
    ],
    [
      "never switches on a flag with a wider strategy beside its own",
      (flag) => {
        const [own] = flag.environment.strategies;
        const wide = own === undefined ? [] : [{ ...own, id: "b", title: "b", parameters: at50 }];
        const strategies = [...flag.environment.strategies, ...wide];
        return { ...flag, environment: { enabled: false, strategies } };
      },
      true,
      ["files.upload: 0 %"],
    ],
    [
      "moves no keys between the paths",
      (flag) => withStrategy(flag, { parameters: { ...at50, groupId: "x" } }),
      false,
      [],
    ],
  ])("%s", (_what, change, percentages, expected) => {
    expect(whys(remoteOf([parent, upload], onUpload(change)), percentages)).toEqual(expected);
  });

  it("names flags that have no file, and leaves them", () => {
    const remote = remoteOf([parent, upload]);
    const found = diffFlags([parent], remote, place);
    expect(found.map(({ flag, kind }) => `${flag} ${kind}`)).toEqual([
      "files.upload extra",
      "files.upload.shadow extra",
    ]);
    expect(whys(remote, false, [parent])).toEqual([]);
  });
});

describe("what a pull writes", () => {
  it("takes settings, and what is live only when told", () => {
    const parameters = { rollout: "50", stickiness: "routingKey", groupId: "files" };
    const remote = remoteOf(
      [parent, upload],
      onUpload((flag) => ({ ...withStrategy(flag, { parameters }), description: "New." })),
    );
    const read = (percentages: boolean): unknown =>
      JSON.parse(pulledFiles([parent, upload], remote, { percentages }).files[0]?.text ?? "null");
    expect(read(false)).toMatchObject({ purpose: "New.", percentage: 0 });
    expect(read(true)).toMatchObject({ purpose: "New.", percentage: 50 });
  });

  it("makes a file for a flag that has none, with the tags that say whose it is", () => {
    const { files, skipped } = pulledFiles([parent], remoteOf([parent, upload]));
    expect(files.map(({ fileName }) => fileName)).toEqual(["files.upload.json"]);
    expect(skipped).toEqual([]);
    const untagged = remoteOf([parent, upload], (flag) => ({ ...flag, tags: [] }));
    expect(pulledFiles([parent], untagged).skipped.map(({ flag }) => flag)).toEqual([upload.name]);
  });

  it.each<[string, Partial<RemoteStrategy>]>([
    [
      "a share below one percent",
      {
        parameters: { rollout: "1", stickiness: "routingKey", groupId: "files" },
        variants: [
          { name: "candidate", weight: 100 },
          { name: "legacy", weight: 900 },
        ],
      },
    ],
    ["another operator", { constraints: [{ contextName: "a", operator: "NUM_GT", value: "1" }] }],
  ])("skips what a file cannot say: %s", (_what, change) => {
    const remote = remoteOf(
      [parent, upload],
      onUpload((flag) => withStrategy(flag, change)),
    );
    const { files, skipped } = pulledFiles([parent, upload], remote, { percentages: true });
    expect(files).toEqual([]);
    expect(skipped.map(({ flag }) => flag)).toEqual([upload.name]);
  });
});
