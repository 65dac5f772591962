//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// attacksBySize: the own pod, over the limits.
var attacksBySize = []attack{
	{name: "forbid one result over the limit", who: "fresh-pod", run: "fresh", change: texts(1<<20+1, 0),
		guard: byGuard(413, "1048577 bytes"),
		policy: passes("the policy adds up all results; one of 1 MiB and a byte is " +
			"below its 1.25 MiB")},
	{name: "forbid results under the limit that exceed it together", who: "fresh-pod", run: "fresh",
		change: texts(700<<10, 700<<10),
		guard:  byGuard(413, "1433600 bytes"), policy: byPolicy("too large together")},
	{name: "forbid a result that brings the TaskRun near etcd's limit", who: "bulky-pod", run: "bulky",
		change: texts(1<<20, 0),
		guard:  byGuard(413, "the limit is 1468416 bytes"),
		policy: passes("the policy does not measure the object; etcd refuses requests over 1.5 MiB")},
	{name: "forbid a result that is six times as large as JSON", who: "fresh-pod", run: "fresh",
		change: change(add("/status/results",
			`[{"name":"text","type":"string","value":"`+strings.Repeat(`\u0001`, 250_000)+
				`"}]`)),
		guard: byGuard(413, "the limit is 1468416 bytes"), policy: passes("as before")},
	{name: "forbid ten thousand results", who: "fresh-pod", run: "fresh",
		change: change(add("/status/results", numberedResults(10_000))),
		guard:  byGuard(422, "which the Task does not declare"), policy: byPolicy("too many results")},
	{name: "forbid ten thousand steps", who: "fresh-pod", run: "fresh",
		change: change(add("/status/steps", `[`+strings.Repeat(`{"name":"build"},`, 9999)+`{"name":"build"}]`)),
		guard:  byGuard(422, `"build" twice`), policy: byPolicy("too many results or steps")},
	{name: "forbid another pod ten thousand results", who: "another pod", run: "fresh",
		change: change(add("/status/results", numberedResults(10_000))),
		guard:  byGuard(403, "is not the TaskRun's pod"), policy: byPolicy("not the TaskRun's pod")},
}

// texts adds the results text and late, of so many bytes; the second is left out if it has none.
func texts(text, late int) string {
	results := fmt.Sprintf(`{"name":"text","type":"string","value":%q}`, strings.Repeat("v", text))
	if late > 0 {
		results += fmt.Sprintf(`,{"name":"late","type":"string","value":%q}`, strings.Repeat("w", late))
	}
	return change(add("/status/results", "["+results+"]"))
}

func numberedResults(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"name":"r%d","type":"string","value":"v"}`, i)
	}
	return "[" + strings.Join(list, ",") + "]"
}

// attacksByForm: the own pod sends bodies that may confuse a JSON reader, mostly besides its one
// stored value.
var attacksByForm = []attack{
	{name: "forbid a value nested 5,000 deep", who: "published-pod", run: "published",
		raw:   beside(`{"name":"late","value":` + nested(5_000) + `}`),
		guard: byGuard(422, "nested more than 200 deep"), policy: byPolicy("")},
	{name: "forbid a body nested 20,000 deep", who: "published-pod", run: "published",
		raw:   beside(`{"name":"late","value":` + nested(20_000) + `}`),
		guard: byServer(400, ""), policy: byServer(400, "")},
	{name: "forbid a body of more than 3 MiB", who: "published-pod", run: "published",
		raw:   beside(`{"name":"late","value":"` + strings.Repeat("v", 3<<20) + `"}`),
		guard: byServer(413, "limit is 3145728"), policy: byServer(413, "limit is 3145728")},
	{name: "forbid a body of 2 MiB", who: "published-pod", run: "published",
		raw:   beside(`{"name":"late","type":"string","value":"` + strings.Repeat("v", 2<<20) + `"}`),
		guard: byGuard(413, "the limit is"), policy: byPolicy("too large together")},
	{name: "forbid a body that ends early", who: "published-pod", run: "published", raw: `{"status":{"results":[`,
		guard: byServer(400, ""), policy: byServer(400, "")},
	{name: "forbid a NUL byte in a name", who: "published-pod", run: "published",
		raw:   beside("{\"name\":\"late\x00\",\"value\":\"v\"}"),
		guard: byServer(400, ""), policy: byServer(400, "")},
	{name: "forbid an escaped NUL byte in a name", who: "published-pod", run: "published",
		raw:   beside(`{"name":"late\u0000","type":"string","value":"v"}`),
		guard: byGuard(422, "does not declare"), policy: byPolicy("does not declare")},
	{name: "forbid invalid UTF-8 in a name", who: "published-pod", run: "published",
		raw:   beside("{\"name\":\"late\xff\",\"type\":\"string\",\"value\":\"v\"}"),
		guard: byGuard(422, "does not declare"), policy: byPolicy("does not declare")},
	{name: "forbid invalid UTF-8 for a stored value", who: "published-pod", run: "published",
		raw:   "{\"status\":{\"results\":[{\"name\":\"text\",\"type\":\"string\",\"value\":\"\xff\"},{\"name\":\"list\",\"type\":\"array\",\"value\":[\"a\",\"b\"]}]}}",
		guard: byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
	{name: "forbid a name with dots and slashes", who: "published-pod", run: "published",
		raw:   beside(`{"name":"../late","type":"string","value":"v"}`),
		guard: byGuard(422, `"../late", which the Task does not declare`), policy: byPolicy("does not declare")},
	{name: "forbid a name with a slash", who: "published-pod", run: "published",
		raw:   beside(`{"name":"a/late","type":"string","value":"v"}`),
		guard: byGuard(422, `"a/late", which the Task does not declare`), policy: byPolicy("does not declare")},
	{name: "forbid a name of 1 MiB", who: "published-pod", run: "published",
		raw:   beside(`{"name":"` + strings.Repeat("n", 1<<20) + `","type":"string","value":"v"}`),
		guard: byGuard(422, "which the Task does not declare"), policy: byPolicy("does not declare")},
	{name: "forbid changing a value by a field given twice", who: "published-pod", run: "published",
		raw:   `{"status":{"results":[{"name":"text","value":"x","value":"forged"},{"name":"list","type":"array","value":["a","b"]}]}}`,
		guard: byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
	{name: "forbid changing a value by a field in other letters", who: "published-pod", run: "published",
		raw:   `{"Status":{"Results":[{"Name":"text","Value":"forged"}]},"status":{"Results":[{"name":"text","value":"forged"}]}}`,
		guard: noEffect("no such field: the API server drops it"), policy: noEffect("as before")},
	{name: "forbid fields that the schema does not have", who: "published-pod", run: "published",
		raw:   `{"status":{"evil":{"a":1}},"evil":1}`,
		guard: noEffect("no such field: the API server drops it"), policy: noEffect("as before")},
}

// beside is the body of a merge patch that repeats what is stored, and adds a result.
func beside(result string) string {
	return `{"status":{"results":[{"name":"text","type":"string","value":"x"},{"name":"list","type":"array","value":["a","b"]},` + result + `]}}`
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
