// guest is the agent that is PID 1 in a guest of the laboratory; package agent
// says what it does. kernlab builds it and puts it in the guest's initramfs.
package main

import "cloudkernel/tools/internal/guest/agent"

func main() { agent.Main() }
