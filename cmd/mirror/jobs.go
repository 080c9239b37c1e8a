package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newJobsCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "jobs",
		Short: "List what the server works on",
		Long: `List the jobs of the server: imports, syncs, exports, migrations, collections, verifications and
others, with who started them and from where. Those that ended within 30 days are listed as
well, at most 200, also after the server was restarted.

A command cancels its job when it is interrupted. With --detach, 'mirror sync', 'mirror gc' and
'mirror verify' only start the job and print its ID, and 'mirror import' leaves it when the bundle
has arrived.`,
		Example: `  mirror jobs
  mirror jobs show k7f3q2m5x4za
  mirror jobs watch k7f3q2m5x4za
  mirror jobs cancel k7f3q2m5x4za`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		jobs, err := client.Jobs(cmd.Context())
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), jobs)
		}
		return printJobs(cmd.OutOrStdout(), jobs)
	})
	cmd.AddCommand(newShowJobCommand(), newWatchJobCommand(), newCancelJobCommand())
	return cmd
}

func newShowJobCommand() *cobra.Command {
	q := &adminCommand{}
	return q.jobCommand(&cobra.Command{
		Use:     "show ID",
		Short:   "Show a job and its result",
		Long:    `Show the state of a job, who started it, its progress, and its result or error.`,
		Example: `  mirror jobs show k7f3q2m5x4za`,
	}, listJobs, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		job, err := client.JobStatus(cmd.Context(), args[0])
		if err != nil {
			return unknownJob(err)
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), job)
		}
		printJob(cmd.OutOrStdout(), job)
		return nil
	})
}

func newWatchJobCommand() *cobra.Command {
	q := &adminCommand{}
	return q.jobCommand(&cobra.Command{
		Use:   "watch ID",
		Short: "Follow a job until it ends",
		Long: `Print the results of a job as they arrive, with the progress, until the job ends. When the command is
interrupted, the job goes on. A sync, a collection or a verification is shown as its command shows it.

Exit codes: those of 'mirror sync', 'mirror gc' and 'mirror verify' for their jobs; for others 0 the job
has ended. 1 the job failed or was canceled, 6 there is no such job, 130 interrupted.`,
		Example: `  mirror jobs watch k7f3q2m5x4za`,
	}, listJobs, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		return watchJob(cmd, client, args[0], q.json)
	})
}

func newCancelJobCommand() *cobra.Command {
	q := &adminCommand{}
	return q.jobCommand(&cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a job",
		Long: `Cancel a job. It ends soon after that; what it has stored so far stays, so that the same command
continues it.`,
		Example: `  mirror jobs cancel k7f3q2m5x4za`,
	}, listRunningJobs, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		job, err := client.CancelJob(cmd.Context(), args[0])
		if err != nil {
			return unknownJob(err)
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), job)
		}
		if job.State != admin.JobRunning {
			printText(cmd.OutOrStdout(), "the job %s had ended before: %s", job.ID, job.State)
			return nil
		}
		printText(cmd.OutOrStdout(), "the job %s is being canceled", job.ID)
		return nil
	})
}

// jobCommand completes a command for one job, whose ID is completed by list.
func (q *adminCommand) jobCommand(cmd *cobra.Command, list lister, run func(cmd *cobra.Command, client *admin.Client, args []string) error) *cobra.Command {
	cmd.Args = arguments("ID")
	cmd = q.command(cmd, run)
	cmd.ValidArgsFunction = q.complete(1, list)
	return cmd
}

// unknownJob adds the exit code to an error about a job that does not exist.
func unknownJob(err error) error {
	if mirror.CodeOf(err) == mirror.CodeNameUnknown {
		return &exitError{exitMissing, err}
	}
	return err
}

// printJobs prints a list of jobs.
func printJobs(out io.Writer, jobs []admin.JobStatus) error {
	if len(jobs) == 0 {
		fmt.Fprintln(out, "no job runs, and none ended lately")
		return nil
	}
	t := newTable(out, "ID", "JOB", "STATE", "STARTED", "BY", "PROGRESS")
	for _, job := range jobs {
		t.row(job.ID, job.Name, string(job.State), age(job.Started), startedBy(job), progressOf(job))
	}
	return t.Flush()
}

// startedBy says who started a job.
func startedBy(job admin.JobStatus) string {
	who := job.User
	if who == "" {
		who = "anonymous"
	}
	return who + " (" + job.Address + ")"
}

// progressOf says how far a job is, or why it did not succeed.
func progressOf(job admin.JobStatus) string {
	switch p := job.Progress; {
	case job.Error != nil:
		return job.Error.Message
	case p == nil:
		return ""
	case p.Total == 0:
		return size(p.Done)
	default:
		return fmt.Sprintf("%s of %s", size(p.Done), size(p.Total))
	}
}

// printJob prints one job.
func printJob(out io.Writer, job admin.JobStatus) {
	line := func(name, value string) {
		if value != "" {
			printText(out, "%-9s %s", name, value)
		}
	}
	line("job", job.ID+" "+job.Name)
	line("state", string(job.State))
	line("by", startedBy(job))
	line("started", job.Started.Format(time.RFC3339))
	if !job.Ended.IsZero() {
		line("ended", job.Ended.Format(time.RFC3339))
	}
	line("request", string(job.Request))
	if job.Input != nil && !job.Input.Complete {
		line("input", size(job.Input.Offset)+" received, incomplete")
	}
	if job.Error == nil {
		line("progress", progressOf(job))
	} else {
		line("error", job.Error.Message)
	}
	line("result", string(job.Summary))
}

// watchJob shows the events of a job until it ends, as the command that started it would have. It returns the error of that.
func watchJob(cmd *cobra.Command, client *admin.Client, id string, asJSON bool) error {
	job, err := client.JobStatus(cmd.Context(), id)
	if err != nil {
		return unknownJob(err)
	}
	err = showJob(cmd, job, asJSON, func(show eventHandler) error { return followJob(cmd.Context(), client, id, show) })
	if cmd.Context().Err() != nil {
		return &exitError{exitInterrupted, fmt.Errorf("interrupted: the job %s goes on; cancel it with 'mirror jobs cancel %[1]s'", id)}
	}
	return unknownJob(err)
}

// followJob calls show with the events of a job until it ends. Of a job that ended before a restart, only the summary is known.
func followJob(ctx context.Context, client *admin.Client, id string, show eventHandler) error {
	ended := false
	err := client.WatchJob(ctx, id, 0, func(e admin.Event) error {
		ended = ended || e.Kind == admin.KindSummary
		return show(e)
	})
	if err != nil || ended {
		return err
	}
	job, err := client.JobStatus(ctx, id)
	if err != nil || job.Summary == nil {
		return err
	}
	return show(admin.Event{Time: job.Ended, Kind: admin.KindSummary, Summary: job.Summary})
}

// showJob shows a job in the view of its command, or in a view for all others. A long request is not kept: its views are as for
// one without options.
func showJob(cmd *cobra.Command, job admin.JobStatus, asJSON bool, watch func(eventHandler) error) error {
	read := func(request any) { _ = json.Unmarshal(job.Request, request) }
	switch job.Name {
	case "verify":
		var req admin.VerifyRequest
		read(&req)
		return showVerification(cmd, req, asJSON, watch)
	case "collect":
		var c collectConfig
		read(&c.CollectRequest)
		return showCollection(cmd, c, asJSON, watch)
	case "sync":
		var c syncConfig
		read(&c.Request)
		return c.showFetch(cmd, asJSON, watch)
	}
	return showAnyJob(cmd, asJSON, watch)
}

// showAnyJob shows a job of any kind: its items as lines, and its result in JSON.
func showAnyJob(cmd *cobra.Command, asJSON bool, watch func(eventHandler) error) error {
	var result json.RawMessage
	view := newJobView(cmd, asJSON)
	view.item, view.summary = itemText, &result
	err := watch(view.event)
	view.end()
	if err == nil && !asJSON && result != nil {
		printText(cmd.OutOrStdout(), "result: %s", result)
	}
	return err
}

// itemText returns the line for an item of any job.
func itemText(e admin.Event) (string, error) {
	if e.Kind == admin.KindDropped {
		var dropped admin.Dropped
		err := e.Decode(&dropped)
		return count(int(dropped.Count), "earlier result is", "earlier results are") + " not kept any more", err
	}
	var item struct{ Reference, Image, Name, Repository, Digest, Reason, Error string }
	if err := e.Decode(&item); err != nil {
		return string(e.Kind) + ": " + string(e.Item), nil //nolint:nilerr // the item has other types
	}
	parts := []string{string(e.Kind)}
	for _, name := range []string{item.Reference, item.Image, item.Name, item.Repository, item.Digest} {
		if name != "" {
			parts = append(parts, name)
			break
		}
	}
	for _, reason := range []string{item.Reason, item.Error} {
		if reason != "" {
			parts = append(parts, reason)
		}
	}
	return strings.Join(parts, ": "), nil
}

// listJobs lists the IDs of jobs, the latest first.
func listJobs(ctx context.Context, client *admin.Client, add func(string)) error {
	jobs, err := client.Jobs(ctx)
	for _, job := range jobs {
		add(job.ID)
	}
	return err
}

// listRunningJobs lists the IDs of running jobs.
func listRunningJobs(ctx context.Context, client *admin.Client, add func(string)) error {
	jobs, err := client.Jobs(ctx)
	for _, job := range jobs {
		if job.State == admin.JobRunning {
			add(job.ID)
		}
	}
	return err
}

// detachFlag is the flag of commands that can start a job and leave it.
const detachFlag = "detach"

func addDetachFlag(f *pflag.FlagSet) {
	f.Bool(detachFlag, false, "start the job, print its ID, and do not wait for it; see 'mirror jobs'")
}

// isDetached reports whether a command leaves its job.
func isDetached(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool(detachFlag)
	return err == nil && on
}

// errNoServerToDetach is the error of --detach without a server.
var errNoServerToDetach = &exitError{exitUsage, errors.New("--detach needs a running server, as the work would end with the command: start one with 'mirror serve', or leave --detach out")}

// startDetached starts a job that goes on without the command, and prints its ID.
func startDetached(cmd *cobra.Command, client *admin.Client, name string, request any, asJSON bool) error {
	job, err := client.StartJob(cmd.Context(), name, request, false)
	if err != nil {
		return err
	}
	return printStarted(cmd, job, asJSON)
}

// printStarted prints the ID of a job that the command leaves.
func printStarted(cmd *cobra.Command, job admin.JobStatus, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), job)
	}
	fmt.Fprintln(cmd.OutOrStdout(), job.ID)
	return nil
}
