//go:build e2e

package e2e

// resultEntries write results in all the ways a file can be written or created.
var resultEntries = []entry{
	{name: "files of every regular form", yaml: oneTask(`
results: [{name: newline}, {name: plain}, {name: empty}, {name: unicode}, {name: crlf}, {name: json}, {name: private}, {name: unreadable},
  {name: linked}, {name: otherlink}, {name: appended}, {name: spaces}, {name: escapes}, {name: markup}]
steps:
- name: write
  image: IMAGE
  script: |
    echo newline > $(results.newline.path)
    printf plain > $(results.plain.path)
    : > $(results.empty.path)
    printf '\n\nünï 💾\n\n' > $(results.unicode.path)
    printf 'a\r\nb\r\n' > $(results.crlf.path)
    printf '{"a": [1, "two"]}' > $(results.json.path)
    umask 077
    printf private > $(results.private.path)
    printf unreadable > $(results.unreadable.path)
    chmod 0 $(results.unreadable.path)
    printf linked > /tmp/elsewhere
    ln -s /tmp/elsewhere $(results.linked.path)
    ln $(results.plain.path) $(results.otherlink.path)
    printf one > $(results.appended.path)
    printf two >> $(results.appended.path)
    printf '  \t ' > $(results.spaces.path)
    printf '"\\"\\n$HOME$(x)\033[1m' > $(results.escapes.path)
    printf '<a b="c">&amp;</a>' > $(results.markup.path)
`)},
	{name: "a result with a NUL byte", yaml: oneTask(`
results: [{name: text}]
steps: [{name: write, image: IMAGE, script: "printf 'a\\000b' > $(results.text.path)"}]`)},
	{name: "a result that is not UTF-8", yaml: oneTask(`
results: [{name: text}]
steps: [{name: write, image: IMAGE, script: "printf 'a\\377b\\303' > $(results.text.path)"}]`)},
	{name: "a result that is a folder", yaml: oneTask(`
results: [{name: text}, {name: other}]
steps: [{name: write, image: IMAGE, script: "mkdir $(results.text.path); printf x > $(results.other.path)"}]`)},
	{name: "a result that is a named pipe", yaml: oneTaskWith("timeout: 45s", `
results: [{name: text}]
steps: [{name: write, image: IMAGE, script: "mkfifo $(results.text.path)"}]`)},
	{name: "a result that is a link to nothing", yaml: oneTask(`
results: [{name: text}, {name: other}]
steps: [{name: write, image: IMAGE, script: "ln -s /nowhere $(results.text.path); printf x > $(results.other.path)"}]`)},
	{name: "a result that is a link to itself", yaml: oneTask(`
results: [{name: text}]
steps: [{name: write, image: IMAGE, script: "ln -s $(results.text.path) $(results.text.path)"}]`)},
	{name: "a result that is a link to a device without bytes", yaml: oneTask(`
results: [{name: text}]
steps: [{name: write, image: IMAGE, script: "ln -s /dev/null $(results.text.path)"}]`)},
	{name: "a result that is a link into the file system of an earlier step", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: write, image: IMAGE, script: "printf mine > /tmp/mine; ln -s /tmp/mine $(results.text.path)"}
- {name: other, image: IMAGE, script: "ls /tmp"}`)},
	{name: "a result that is a link into the pod's files of a step", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: write, image: IMAGE, results: [{name: own}], script: "printf own > $(step.results.own.path); ln -s $(step.results.own.path) $(results.text.path)"}
- {name: other, image: IMAGE, script: "cat $(results.text.path)"}`)},
	{name: "a later step cleans up", yaml: oneTask(`
results: [{name: digest}, {name: late}]
steps:
- {name: build, image: IMAGE, script: "printf sha256:feed > $(results.digest.path)"}
- {name: clean, image: IMAGE, script: "rm -rf /tekton/results/* /workspace/*"}
- {name: more, image: IMAGE, script: "printf late > $(results.late.path)"}
- {name: clean-again, image: IMAGE, script: "rm -rf /tekton/results/*"}`)},
	{name: "a later step changes a result, and one after it removes it", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, script: "printf one > $(results.text.path)"}
- {name: two, image: IMAGE, script: "printf two > $(results.text.path)"}
- {name: three, image: IMAGE, script: "rm $(results.text.path)"}`)},
	{name: "a later step turns a result into a folder", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, script: "printf one > $(results.text.path)"}
- {name: two, image: IMAGE, script: "rm $(results.text.path); mkdir $(results.text.path)"}`)},
	{name: "a result is written while the next step runs", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, script: "(sleep 2; printf late > $(results.text.path)) & printf early > $(results.text.path)"}
- {name: two, image: IMAGE, script: "sleep 3; cat $(results.text.path)"}`)},
	{name: "files that nobody declared", yaml: oneTask(`
results: [{name: text}]
steps:
- name: write
  image: IMAGE
  script: |
    printf hello > $(results.text.path)
    printf forged > /tekton/results/IMAGE_DIGEST
    mkdir -p /tekton/results/folder/text
    mkfifo /tekton/results/pipe
    printf x > /tekton/results/folder/text/text
    printf x > /tekton/results/.hidden`)},
	{name: "declared results that nobody wrote", yaml: oneTask(`
results: [{name: text}, {name: list, type: array}, {name: image, type: object, properties: {url: {type: string}}}]
steps: [{name: write, image: IMAGE, script: "true"}]`)},
	{name: "arrays and objects", yaml: oneTask(`
results:
- {name: list, type: array}
- {name: none, type: array}
- {name: image, type: object, properties: {url: {type: string}, digest: {type: string}}}
- {name: more, type: object, properties: {url: {type: string}}}
steps:
- name: write
  image: IMAGE
  script: |
    printf '["one","two","th\\u0072ee",""]' > $(results.list.path)
    printf '[]' > $(results.none.path)
    printf '{"url":"example.test/app","digest":"sha256:0"}' > $(results.image.path)
    printf '{"url":"example.test/app","extra":"key"}' > $(results.more.path)`)},
	{name: "an array that is spread over lines", yaml: oneTask(`
results: [{name: lines, type: array}]
steps: [{name: write, image: IMAGE, script: "printf '[\\n \"a\" ,\\n \"b\"\\n]\\n' > $(results.lines.path)"}]`)},
	{name: "an array with a space before it", yaml: oneTask(`
results: [{name: list, type: array}]
steps: [{name: write, image: IMAGE, script: "printf ' [\"a\"]' > $(results.list.path)"}]`)},
	{name: "an object that lacks a key", yaml: oneTask(`
results: [{name: image, type: object, properties: {url: {type: string}, digest: {type: string}}}]
steps: [{name: write, image: IMAGE, script: "printf '{\"url\":\"example.test\"}' > $(results.image.path)"}]`)},
	{name: "results of other types than declared", yaml: oneTask(`
results: [{name: list, type: array}, {name: image, type: object, properties: {url: {type: string}}}, {name: text}]
steps:
- name: write
  image: IMAGE
  script: |
    printf 'no array' > $(results.list.path)
    printf '["an array"]' > $(results.image.path)
    printf fine > $(results.text.path)`)},
	{name: "arrays of what are no strings", yaml: oneTask(`
results: [{name: numbers, type: array}, {name: nested, type: array}, {name: image, type: object, properties: {url: {type: string}}}, {name: text}]
steps:
- name: write
  image: IMAGE
  script: |
    printf '[1, true, null]' > $(results.numbers.path)
    printf '[["a"]]' > $(results.nested.path)
    printf '{"url": 1}' > $(results.image.path)
    printf '3' > $(results.text.path)`)},
	{name: "step results of every type", yaml: oneTask(`
results: [{name: digest, value: $(steps.build.results.digest)}, {name: tags, type: array, value: $(steps.build.results.tags)}, {name: own}]
steps:
- name: build
  image: IMAGE
  results: [{name: digest}, {name: tags, type: array}, {name: image, type: object, properties: {url: {type: string}}}, {name: missing}]
  script: |
    printf sha256:abc > $(step.results.digest.path)
    printf '["v1","latest"]' > $(step.results.tags.path)
    printf '{"url":"example.test"}' > $(step.results.image.path)
- name: use
  image: IMAGE
  env: [{name: DIGEST, value: $(steps.build.results.digest)}]
  args: ["$(steps.build.results.tags[*])", "$(steps.build.results.tags[1])", "$(steps.build.results.image.url)"]
  script: |
    echo "$DIGEST $*"
    printf "$DIGEST" > $(results.own.path)`)},
	{name: "a step result of a type that is not declared", yaml: oneTask(`
steps:
- {name: write, image: IMAGE, results: [{name: list, type: array}, {name: text}], script: "printf text > $(step.results.list.path); printf text > $(step.results.text.path)"}
- {name: other, image: IMAGE, script: "true"}`)},
	{name: "a Task result from a step result that is missing", yaml: oneTask(`
results: [{name: digest, value: $(steps.build.results.digest)}]
steps:
- {name: build, image: IMAGE, results: [{name: digest}], script: "true"}
- {name: other, image: IMAGE, script: "true"}`)},
	{name: "a Task result with a value and a file", yaml: oneTask(`
results: [{name: digest, value: $(steps.build.results.digest)}]
steps:
- {name: build, image: IMAGE, results: [{name: digest}], script: "printf step > $(step.results.digest.path)"}
- {name: other, image: IMAGE, script: "printf file > $(results.digest.path)"}`)},
	{name: "steps with results of the same name", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, results: [{name: text}], script: "printf one > $(step.results.text.path)"}
- {name: two, image: IMAGE, results: [{name: text}], script: "printf two > $(step.results.text.path); printf task > $(results.text.path)"}
- {name: three, image: IMAGE, args: [$(steps.one.results.text), $(steps.two.results.text)], script: "echo $*"}`)},
	{name: "a step result that a later step overwrites by its path", yaml: oneTask(`
steps:
- {name: one, image: IMAGE, results: [{name: text}], script: "printf one > $(step.results.text.path)"}
- {name: two, image: IMAGE, onError: continue, script: "printf two > /tekton/steps/one/results/text"}`)},
	{name: "a step result that is a link into its step's file system", yaml: oneTask(`
steps:
- {name: one, image: IMAGE, results: [{name: text}], script: "printf one > /tmp/one; ln -s /tmp/one $(step.results.text.path)"}
- {name: two, image: IMAGE, script: "printf two > /tmp/one"}`)},
	{name: "no step has a name", yaml: oneTask(`
results: [{name: text}]
steps:
- {image: IMAGE, script: "printf one > $(results.text.path)"}
- {image: IMAGE, script: "cat $(results.text.path)"}`)},
}
