import { drillCertificates } from "../../../app/rollout/drills.ts";
import { CodedError } from "../../../base/errors.ts";
import { type DrillFault, type DrillResult, drillPassed } from "../../../rehearsal/drill/drill.ts";
import { runDrill } from "../../../rehearsal/drill/run-drill.ts";
import { type Command, usage } from "../../context.ts";
import { drillable, GatewayWorld } from "../../drill/gateway-world.ts";
import { type LiveProduct, withLiveProduct } from "../../session.ts";
import { type Line, styled, table } from "../../terminal/text.ts";

interface DrillOptions {
  readonly operation: string;
  readonly fault?: readonly DrillFault[];
  readonly force?: boolean;
}

/** `changeover drill`; fails when an exercise did. */
export const drill: Command<DrillOptions> = (context, { options }) =>
  withLiveProduct(context, async (product) => {
    const { force = false, fault } = options;
    const operation = await permitted(product, options.operation, force);
    const { clock, signal, output } = context;
    const world = await GatewayWorld.open(product, operation);
    let shown = "";
    const results = await runDrill(world, {
      clock,
      signal,
      force,
      ...(fault === undefined ? {} : { faults: fault }),
      onProgress: ({ exercise }) => {
        if (shown === exercise.fault) return;
        shown = exercise.fault;
        output.note(styled("faint", `${exercise.fault} …`));
      },
    }).finally(() => world.close());
    const passed = drillPassed(results);
    const at = new Date(clock.now()).toISOString();
    const certificates = drillCertificates(context.config());
    const kept = await certificates.keep({ operation, at, passed, results });
    const verdict = passed ? styled("good", "passed") : styled("bad", "failed");
    const lines: Line[] = [
      ...table([heading, ...results.map(rowOf)]),
      ["The drill of ", operation, " ", verdict, `; certificate: ${kept}`],
      `${operation} is at 0 % now; set its share again when you go on.`,
    ];
    return { answer: { value: results, lines }, ...(passed ? {} : { exit: "failed" as const }) };
  });

/** The full name of the operation, where a drill may be held on it. */
async function permitted(
  { operator }: LiveProduct,
  typed: string,
  force: boolean,
): Promise<string> {
  const { environment, operations, faults } = await operator.snapshot();
  const found = drillable.filter((name) => name === typed || name.endsWith(`.${typed}`));
  const [name] = found;
  const known = operations.find((each) => each.name === name);
  if (name === undefined || known === undefined) {
    throw usage(
      `${JSON.stringify(typed.slice(0, 80))} cannot be drilled. Use one of: ${drillable.join(", ")}.`,
    );
  }
  const share = known.flag?.enabled === true ? known.flag.percentage : 0;
  const busy = share > 0 || Object.values(faults.candidate).some((value) => value > 0);
  const why =
    environment === "production"
      ? "it is production (CHANGEOVER_ENVIRONMENT)"
      : busy
        ? `${name} is at ${share} %, or a fault is set already, and a drill ends with 0 %`
        : null;
  if (why === null || force) return name;
  throw new CodedError(
    "CLI_DRILL_REFUSED",
    `A drill makes the new path fail for its callers, and is not held here: ${why}. Use --force if you mean it.`,
    { status: 409 },
  );
}

const heading = ["fault", "", "calls", "local ms", "fleet ms", "harmed", "lost", "cut", "by", ""];

function rowOf(result: DrillResult): (string | ReturnType<typeof styled>)[] {
  const { fault, passed, calls, localMs, fleetMs, harmed, lost, cutMidStream, rule } = result;
  const word = { true: "passed", false: "failed", null: "left out" }[`${passed}`];
  const style = passed === null ? "faint" : passed ? "good" : "bad";
  const shown = (value: number | null): string => (value === null ? "–" : String(value));
  const numbers = [calls, localMs, fleetMs, harmed, lost, cutMidStream].map((value) =>
    passed === null ? "–" : shown(value),
  );
  return [fault, styled(style, word), ...numbers, rule ?? "–", result.problems.join("; ")];
}
