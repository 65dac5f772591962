// Command static is all there is in the image of the catalogue's steps without a shell: it writes,
// prints, reads and exits, as the static programs in distroless images do.
package main

import (
	"fmt"
	"os"
	"strconv"
)

// main takes words in turn: write FILE TEXT, read FILE, print TEXT, exit CODE.
func main() {
	words := os.Args[1:]
	for len(words) > 1 {
		switch verb, word := words[0], words[1]; {
		case verb == "write" && len(words) > 2:
			check(os.WriteFile(word, []byte(words[2]), 0o600))
			words = words[1:]
		case verb == "read":
			text, err := os.ReadFile(word)
			check(err)
			fmt.Printf("%s\n", text)
		case verb == "print":
			fmt.Println(word)
		case verb == "exit":
			code, err := strconv.Atoi(word)
			check(err)
			os.Exit(code)
		}
		words = words[2:]
	}
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
