package main

// equivalents are rules whose removal changes nothing, and why. They are named as in findRules.
var equivalents = map[string]string{
	"beyondPartial: operand !ok":                         nothing,
	"firstDifference: operand !ok":                       nothing,
	"firstChange: operand !ok":                           nothing,
	"entry.bytes: if e.size > 0":                         "a size that is not noted is found by looking",
	"scanner.entry: if err == nil && e.value[0] == '\"'": "as before",
	"scanner.entry: statement e.size = int64(len(e.value) - len(`\"\"`) - s.Escaped())": "as before",
	"step.change: operand !ok":     nothing,
	"checkEntryFields: operand ok": "an entry that is not there has no fields, and the incoming one has",
	"repeats: if len(incoming.extra) > 0": "the rule \"fields\" has denied what has more fields than the stored " +
		"result, and one with the same has been found the same",
	"repeats: operand err == nil":      "an entry that could not be typed is empty, and the same as none",
	"quoteJSON: if err != nil":         "a string always marshals",
	"valueSize: operand len(raw) < 2":  "JSON of one byte is no string, which is asked next",
	"scanner.unmarshal: if err != nil": "nothing does not unmarshal either",
	"explain: operand err != nil":      "conditions that cannot be read are none, which is asked next",
	"explain: operand !ok":             "no explanation is contained in any message, which is asked next",
	"saidBy: if err != nil":            "a message that is not there is no JSON, which is asked next",
	"merge: statement m.has[e.name] = true #2": "it is asked for Task results that take their value from a step, and " +
		"those no pod may add itself",
	"fields.text: if err != nil":      scanned,
	"typed: if err != nil":            scanned,
	"interpret: if err != nil":        scanned,
	"sameJSON: operand errA == nil":   scanned,
	"sameJSON: operand errB == nil":   scanned,
	"typed: if err != nil #2":         "a value that Tekton has read always marshals",
	"referenceOf: operand err != nil": "a TaskRun that cannot be read has no name, which is asked next",
	"isRetry: operand ok": "what is no list counts as empty, and an empty one is never one longer " +
		"than another",
	"requesterOf: operand !ok": "what has no second part has an empty " +
		"name, which is asked next",
	"patchList: operand !present": "an absent list is empty, which is " +
		"asked next",
	"patchList: case has(inGot, w.itemName())": "the same list comes of more " +
		"operations (FuzzPatchList)",
	"sameJSON: operand kind(a) != kind(b)": shortcut,
	"hashText: if len(decoded) >= hashAtOnce": "what is hashed all at once has the " +
		"same digest",
	"merged.mergeStep: statement final.results.list = slices.Clone(stored.list)": "the stored list is not read any more " +
		"when the copy grows",
	"sameJSON: if len(a) == 0 || len(b) == 0 || kind(a) != kind(b)": shortcut,
}

const (
	nothing  = "a value is never the same as none"
	scanned  = "the scanner has read it, and accepts only what encoding/json does (FuzzScanner)"
	shortcut = "a shortcut: decoding both comes to the same"
)
