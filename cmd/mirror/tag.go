package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newTagCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "tag IMAGE[:TAG|@DIGEST] NAME[:TAG]",
		Short: "Give a stored image another name",
		Long: `Point a tag at a stored image, as if the image had been pulled and pushed under the new name. A tag
that exists is moved. The content is not copied. The origin of the new tag is pushed.

In another repository, the image also gets its platforms, signatures and other referrers, as far as
they are stored completely. A repository that this command creates is local: it is never fetched from
an upstream.

Exit codes: 0 tagged, 6 the image is not stored or not complete; others as for serve.`,
		Example: `  mirror tag alpine:3 team/base:1
  mirror tag team/app@sha256:4f53a6 team/app:stable`,
		Args: arguments("IMAGE", "NAME"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		var tagged admin.Tagged
		v := &jobView{out: cmd.OutOrStdout(), summary: &tagged}
		if err := client.Call(cmd.Context(), "tag", admin.TagRequest{Source: args[0], Target: args[1]}, nil, v.event); err != nil {
			return notStored(err)
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), tagged)
		}
		text := fmt.Sprintf("%s points at %s", tagged.Reference, short(tagged.Digest))
		if tagged.Was != "" && tagged.Was != tagged.Digest {
			text += ", before at " + short(tagged.Was)
		}
		if tagged.Skipped > 0 {
			text += "; " + count(tagged.Skipped, "platform or referrer was", "platforms or referrers were") + " left out, not being complete"
		}
		v.line(text)
		return nil
	})
	cmd.ValidArgsFunction = q.complete(2, listImages)
	return cmd
}
