/* base/ban.h: calls that this code base does without; include after the system headers that declare
 * them are out of the way, or anywhere: a poisoned name is an error only where it is used. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol system popen gmtime localtime
