package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/api/events"
	"airmirror/gc"
	"airmirror/mirror"
)

func newStatusCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "status",
		Short: "Say how the mirror is doing",
		Long: `Say how the mirror is doing: whether a server runs, its mode, what is under way, and
how each upstream was doing when it was last asked. Nothing is dialled to find out.`,
		Example: `  mirror status
  mirror status --data /srv/mirror --json`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		status, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), status)
		}
		return printStatus(cmd.OutOrStdout(), status)
	})
}

func printStatus(out io.Writer, s admin.Status) error {
	server := "none is running"
	if s.Server != nil {
		server = fmt.Sprintf("process %d serves %s, started %s", s.Server.PID, s.Server.Address, age(s.Server.Started))
	}
	t := newTable(out, "server", server)
	t.row("version", s.Version)
	t.row("data", s.Data)
	mode := string(s.Mode)
	if s.ReadOnly {
		mode += ", " + readOnly
	}
	t.row("mode", mode)
	t.row("transfers", fmt.Sprintf("%d under way", s.Downloads))
	t.row("incomplete", incompleteText(s.Status))
	t.row("wants", fmt.Sprint(s.Wants))
	t.row("held", size(s.Stored))
	for _, i := range s.Imports {
		t.row("waiting", fmt.Sprintf("for volume %d of bundle %s; the last one came %s", i.Next, cmp.Or(i.Bundle, i.Set), age(i.Since)))
	}
	t.row("collected", collectedText(s.Collection))
	t.row("verified", verifiedText(s.Verify))
	if err := t.Flush(); err != nil {
		return err
	}
	if len(s.Upstreams) > 0 {
		fmt.Fprintln(out)
		t = newTable(out, "UPSTREAM", "STATE", "URL")
		for _, u := range s.Upstreams {
			t.row(u.Host, upstreamState(s.Mode, u), strings.Join(u.URLs, ", "))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(s.Events) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	t = newTable(out, "ENDPOINT", "WAITING", "LOST", "STATE", "HOST")
	for _, e := range s.Events {
		var lost uint64
		for _, n := range e.Dropped {
			lost += n
		}
		t.row(e.Name, fmt.Sprint(e.Waiting), fmt.Sprint(lost), endpointState(s, e), e.Host)
	}
	return t.Flush()
}

// incompleteText says how many images are not complete, and what is done about it.
func incompleteText(s mirror.Status) string {
	if s.IncompleteError != "" {
		return "not known: " + s.IncompleteError
	}
	text := count(s.Incomplete, "image", "images")
	if s.Backfill > 0 {
		text += fmt.Sprintf("; the rest of %s that was pulled is still to be fetched", count(s.Backfill, "image", "images"))
	}
	return text
}

// endpointState says how deliveries of events to an endpoint are going.
func endpointState(s admin.Status, e events.Status) string {
	switch {
	case s.Server == nil:
		return "a server delivers"
	case s.Mode == mirror.Offline && !e.Offline:
		return "waits until the mirror is connected"
	case e.Error != "":
		return "failing, " + age(e.Since) + ": " + e.Error
	}
	return "ok"
}

// collectedText says when space was freed last, and how much.
func collectedText(s *gc.Status) string {
	if s == nil {
		return "-"
	}
	next := ""
	if !s.Next.IsZero() {
		next = "; next " + age(s.Next)
	}
	switch {
	case s.Running:
		return "going on, begun " + age(s.Since)
	case s.Last == nil:
		return "never" + next
	case s.Last.Error != "":
		return age(s.Last.Began) + ", broken off: " + s.Last.Error + next
	case s.Last.Budget.Shortfall > 0:
		return fmt.Sprintf("%s, %s freed, and %s too much held: %s%s", age(s.Last.Began), size(s.Last.Bytes), size(s.Last.Budget.Shortfall), s.Last.Budget.Reason, next)
	}
	return fmt.Sprintf("%s, %s freed%s", age(s.Last.Began), size(s.Last.Bytes), next)
}

// verifiedText says when what is held was verified last, and what was wrong.
func verifiedText(s mirror.VerifyStatus) string {
	text := "never"
	if s.Last != nil {
		text = age(s.Last.Started)
		if s.Last.Fast {
			text += ", without reading"
		}
		text += ": " + flawsText(s.Last)
	}
	if s.Running {
		return "going on; before that " + text
	}
	return text
}

func upstreamState(mode mirror.Mode, u mirror.UpstreamStatus) string {
	switch {
	case mode == mirror.Offline:
		return "not asked"
	case u.Down:
		return "gone, " + age(time.Unix(u.Since, 0)) + ": " + u.Error
	case u.Failures > 0:
		return count(u.Failures, "failure", "failures") + ": " + u.Error
	case u.Error != "":
		return u.Error
	case !u.Asked:
		return "not asked yet"
	}
	return "ok"
}
