// Package github tells a GitHub repository, on github.com or an enterprise
// server, how the lanes of a CI run ended.
//
// The model: a lane is one kernel, named by architecture and profile, whose
// cases may have been spread over several runs (shards). Each lane becomes one
// commit status; all lanes together become one comment on the pull request,
// found again by a hidden marker and edited in place, so that a request never
// has more than one.
//
// Publishing the same thing twice changes nothing: a status that is there
// already is not set again, a comment that says the same is not edited.
//
// Everything that can go wrong on the way for a while is waited for (transport):
// network errors and answers of 500 and above with growing pauses, rate limits
// as long as the server says, all of it together no longer than a bound that
// the user is told of. What will not change by waiting, such as a token
// without rights, ends at once in an error that says what to do.
package github
