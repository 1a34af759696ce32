// Reads KEDA objects from a JSON file and says what is wrong with them, one line each.
import { readFileSync } from "node:fs";
import { ScaledObject, TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1";

const kinds = { ScaledObject, TriggerAuthentication };
let wrong = 0;
for (const object of JSON.parse(readFileSync(process.argv[2], "utf-8"))) {
  try {
    if (!kinds[object.kind]) throw new Error(`unknown kind ${object.kind}`);
    new kinds[object.kind](object).validate();
  } catch (error) {
    wrong += 1;
    console.log(`${object.kind} ${object.metadata?.name}: ${error.message}`);
  }
}
process.exit(wrong ? 1 : 0);
