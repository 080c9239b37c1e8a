package transfer

import (
	"fmt"
	"iter"
	"strings"

	"airmirror/mirror"
)

// reportHosts says of images under another registry's address with a port how clients get them: no path can have a colon in
// it, so that there is but one way.
func (in *importer) reportHosts(repos iter.Seq[mirror.Repo]) {
	noted := make(map[string]bool)
	names := in.service.mirror.Names()
	for repo := range repos {
		if noted[repo.Host] || !strings.Contains(repo.Host, ":") || names.Served(repo) == repo.Path {
			continue
		}
		noted[repo.Host] = true
		in.report(Event{Kind: KindNote, Name: repo.Host, Reason: fmt.Sprintf("clients pull its images from here only if they send ?ns=%[1]s, as containerd does with certs.d/%[1]s/hosts.toml; "+
			"if %[1]s is this mirror, name it under ownNames in the configuration and import again, or name the image with --tag", repo.Host)})
	}
}
