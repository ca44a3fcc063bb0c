"""`make load`: simulated contacts send texts, and every answer is compared with the expected one."""
