"""The network of Luo & Hu (ICCV 2021) as published."""
