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
		Short: "Show the status of the mirror",
		Long: `Show whether a server runs, its mode, its current work, and the state of each upstream at the last
request to it. The command contacts no upstream.`,
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
	server := "not running"
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
	t.row("transfers", fmt.Sprintf("%d running", s.Downloads))
	t.row("incomplete", incompleteText(s.Status))
	t.row("wants", fmt.Sprint(s.Wants))
	t.row("stored", size(s.Stored))
	for _, i := range s.Imports {
		t.row("waiting", fmt.Sprintf("for volume %d of bundle %s; the last volume was imported %s", i.Next, cmp.Or(i.Bundle, i.Set), age(i.Since)))
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

// incompleteText returns the number of incomplete images and of images in the backfill.
func incompleteText(s mirror.Status) string {
	if s.IncompleteError != "" {
		return "not known: " + s.IncompleteError
	}
	text := count(s.Incomplete, "image", "images")
	if s.Backfill > 0 {
		text += fmt.Sprintf("; %s in the backfill", count(s.Backfill, "image", "images"))
	}
	return text
}

// endpointState returns the state of the delivery of events to an endpoint.
func endpointState(s admin.Status, e events.Status) string {
	switch {
	case s.Server == nil:
		return "delivered by a server"
	case s.Mode == mirror.Offline && !e.Offline:
		return "waiting until the mirror is online"
	case e.Error != "":
		return "failing, " + age(e.Since) + ": " + e.Error
	}
	return "ok"
}

// collectedText returns the time and the result of the last collection.
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
		return "running, started " + age(s.Since)
	case s.Last == nil:
		return "never" + next
	case s.Last.Error != "":
		return age(s.Last.Began) + ", failed: " + s.Last.Error + next
	case s.Last.Budget.Shortfall > 0:
		return fmt.Sprintf("%s, %s freed, %s above the budget: %s%s", age(s.Last.Began), size(s.Last.Bytes), size(s.Last.Budget.Shortfall), s.Last.Budget.Reason, next)
	}
	return fmt.Sprintf("%s, %s freed%s", age(s.Last.Began), size(s.Last.Bytes), next)
}

// verifiedText returns the time and the result of the last verification.
func verifiedText(s mirror.VerifyStatus) string {
	text := "never"
	if s.Last != nil {
		text = age(s.Last.Started)
		if s.Last.Fast {
			text += ", without reading content"
		}
		text += ": " + defectsText(s.Last)
	}
	if s.Running {
		return "running; last: " + text
	}
	return text
}

func upstreamState(mode mirror.Mode, u mirror.UpstreamStatus) string {
	switch {
	case mode == mirror.Offline:
		return "not used"
	case u.Down:
		return "down, " + age(time.Unix(u.Since, 0)) + ": " + u.Error
	case u.Failures > 0:
		return count(u.Failures, "failure", "failures") + ": " + u.Error
	case u.Error != "":
		return u.Error
	case !u.Asked:
		return "no request yet"
	}
	return "ok"
}
