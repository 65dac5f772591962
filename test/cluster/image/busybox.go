package image

import (
	"context"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
)

// Busybox lists the files of a small system with a shell: a static busybox, a link for each of its
// applets, and the folders and users that programs expect.
func Busybox(ctx context.Context, binary string) ([]File, error) {
	applets, err := exec.CommandContext(ctx, binary, "--list-full").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of %s: %w", binary, err)
	}
	return append([]File{{Path: "/bin/busybox", Mode: 0o755, Source: binary}}, system(string(applets))...), nil
}

func system(applets string) []File {
	files := []File{
		{Path: "/etc/passwd", Mode: 0o644,
			Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\nnonroot:x:65532:65532:nonroot:/home/nonroot:/bin/sh\n"},
		{Path: "/etc/group", Mode: 0o644, Content: "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"},
		{Path: "/home/nonroot", Mode: 0o777, Dir: true},
		{Path: "/root", Mode: 0o700, Dir: true},
		{Path: "/tmp", Mode: 0o777 | fs.ModeSticky, Dir: true},
		{Path: "/var/tmp", Mode: 0o777 | fs.ModeSticky, Dir: true},
	}
	for _, applet := range strings.Fields(applets) {
		if applet != "bin/busybox" {
			files = append(files, File{Path: "/" + applet, Link: "/bin/busybox"})
		}
	}
	return files
}
